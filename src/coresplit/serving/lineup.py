"""The active set at work: which instances may begin a batch, and how many rows they take."""

from collections.abc import Iterable, Sequence

from coresplit.serving.dividing import Lane, most_within
from coresplit.serving.seats import Seat
from coresplit.serving.sets import InstanceSet

MOMENT_S = 1e-3
"""The least time that a computing instance is expected to need."""


class Lineup:
    """The seats of a set; ``others`` includes the seats of earlier sets that still compute.

    An instance does not begin while one of another set computes on one of its cores, unless that
    one takes far longer than expected.
    """

    def __init__(
        self, chosen: InstanceSet, seats: Sequence[Seat], others: Iterable[Seat], limit_s: float
    ) -> None:
        self.chosen = chosen
        self.seats = tuple(seats)
        self.latencies = chosen.latencies
        self._limit_s = limit_s
        self._most: dict[int, int] = {}
        self._others = [seat for seat in others if seat.batch and seat not in self.seats]
        for seat in self.seats:
            self.learn(seat)

    def learn(self, seat: Seat) -> None:
        """An instance is ready: use its first forward as a rough latency if none is known."""
        ready = seat.ready
        if ready is not None and ready.input_s and not self.latencies.seconds(seat.threads, 1):
            self.latencies.observe(seat.threads, 1, ready.input_s)
            self.forget(seat.threads)

    def forget(self, threads: int) -> None:
        """Forget the most rows of instances with this many threads; recompute when needed."""
        self._most.pop(threads, None)

    def free(self, now: float) -> list[Seat]:
        """Return the instances that can begin a batch now."""
        idle = [seat for seat in self.seats if seat.idle]
        if self._others:
            self._others = [seat for seat in self._others if seat.batch]
            idle = [seat for seat in idle if not self._blockers(seat, now)]
        return idle

    def opens_at(self, now: float) -> float | None:
        """Return when the wait for the next busy core times out; None if there is none."""
        ends = [seat.waited_until for seat in self._others if seat.batch]
        return min((end for end in ends if end > now), default=None)

    def lane(self, seat: Seat, now: float) -> Lane:
        """Return how soon an instance is free, its threads and the most rows it takes."""
        ahead = [*([seat] if seat.batch else ()), *self._blockers(seat, now)]
        # a batch that is t seconds late is expected to take another t
        busy_s = max((max(MOMENT_S, abs(each.busy_until - now)) for each in ahead), default=0.0)
        return Lane(busy_s, seat.threads, self.most(seat.threads))

    def most(self, threads: int) -> int:
        """Return the most rows that an instance with this many threads takes at once."""
        most = self._most.get(threads)
        if most is None:
            most = most_within(self.latencies, threads, self.chosen.most_rows, self._limit_s)
            self._most[threads] = most
        return most

    def _blockers(self, seat: Seat, now: float) -> list[Seat]:
        return [
            other
            for other in self._others
            if other.batch and now < other.waited_until and other.place.meets(seat.place)
        ]
