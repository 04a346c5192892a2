"""Simulated instances: their queue, their batches, and when each is idle again.

They dispatch as ``serving.engine`` does: an instance that is t seconds late is expected to need
another t, rows that wait for a faster instance are reconsidered after a while, and instances that
take over wait for the cores that others still compute on.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator

import msgspec

from coresplit.serving.dividing import Lane, Latencies, divide, most_within
from coresplit.serving.lineup import MOMENT_S
from coresplit.serving.seats import PATIENCE, WAITED_S
from coresplit.serving.sizing import Rate, batches

_NOBODY = -1


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that could serve, on consecutive cores.

    ``threads`` are the threads of each instance. ``busy`` are latencies while all instances are
    busy, ``alone`` those of an instance while the others are idle; None means the same as ``busy``.
    An instance takes at most ``most_rows`` at once, fewer if its forward would exceed ``limit_s``.
    ``overhead_s`` is the time of a request outside its forward, ``pause_s`` the time an instance
    loses with each batch. ``work_s`` is the core time of a request outside its forward: an idle
    core does this work, and if there is none it delays an instance. ``noise`` are ratios of real to
    predicted latencies, from which each forward draws one; empty for none.
    """

    threads: tuple[int, ...]
    most_rows: int
    busy: Latencies
    alone: Latencies | None = None
    limit_s: float = math.inf
    overhead_s: float = 0.0
    pause_s: float = 0.0
    work_s: float = 0.0
    noise: tuple[float, ...] = ()

    def paced(self, pace: float) -> "Candidate":
        """Return the candidate with forwards that take ``pace`` times as long."""
        alone = None if self.alone is None else self.alone.scaled(pace)
        return msgspec.structs.replace(self, busy=self.busy.scaled(pace), alone=alone)

    def predicted(self, threads: int, rows: int, *, alone: bool) -> float:
        """Return the seconds of a forward while all others are busy, or idle; 0 if unknown."""
        known = self.alone if alone and self.alone is not None else self.busy
        return known.seconds(threads, rows)


class Batch(msgspec.Struct, frozen=True):
    """A batch: its cores, its expected end, and until when others wait for it.

    Its forward of ``rows`` takes ``seconds``; ``alone`` if the other instances were idle.
    """

    cpus: range
    expected: float
    waited_until: float
    rows: int
    seconds: float
    alone: bool


class Instances:
    """The instances of a candidate. Requests are numbers; ``left`` maps them to uncomputed rows."""

    def __init__(
        self, candidate: Candidate, chance: random.Random, left: dict[int, int] | None = None
    ) -> None:
        self.left: dict[int, int] = {} if left is None else left
        self.repace(candidate)
        self._chance = chance
        threads = candidate.threads
        firsts = [sum(threads[:seat]) for seat in range(len(threads))]
        self._cpus = [
            range(first, first + each) for first, each in zip(firsts, threads, strict=True)
        ]
        self._computing: dict[int, Batch] = {}
        self._before: list[tuple[float, Batch]] = []
        self._idle = set(range(len(threads)))
        self._waiting: deque[list[int]] = deque()
        self._rows = 0
        self._ends: list[tuple[float, int, list[tuple[int, int]]]] = []
        self._alarm = math.inf
        self._owed = [0.0] * len(threads)
        self._rate = Rate()

    @property
    def next_end(self) -> float:
        """When the next batch ends or the queue is reconsidered; infinite if nothing is due."""
        return self._ends[0][0] if self._ends else math.inf

    def arrive(self, request: int, rows: int, now: float) -> None:
        """A request arrives."""
        self.left[request] = rows
        self._waiting.append([request, rows])
        self._rows += rows
        self._rate.come(now, rows)
        if not self._idle and self._candidate.work_s:
            (hit,) = self._chance.choices(range(len(self._owed)), self._candidate.threads)
            self._owed[hit] += self._candidate.work_s
        self._pump(now)

    def finish(self) -> tuple[float, list[int], Batch | None]:
        """End the next batch; return the time, the requests that are done, and the batch.

        The batch is None if a wait has ended instead.
        """
        now, seat, parts = heapq.heappop(self._ends)
        batch, done = None, []
        if seat == _NOBODY:
            self._alarm = math.inf if now >= self._alarm else self._alarm
        else:
            self._idle.add(seat)
            batch = self._computing.pop(seat)
        for request, rows in parts:
            self.left[request] -= rows
            if not self.left[request]:
                del self.left[request]
                done.append(request)
        self._pump(now)
        return now, done, batch

    def repace(self, candidate: Candidate) -> None:
        """Continue with other latencies of the same candidate."""
        self._candidate = candidate
        threads, most = candidate.threads, candidate.most_rows
        self._most = [
            most_within(candidate.busy, each, most, candidate.limit_s) for each in threads
        ]
        self._least_s = min(candidate.busy.seconds(each, 1) for each in threads)

    def copy(self) -> "Instances":
        """Return an independent copy."""
        other = Instances.__new__(Instances)
        other.left = dict(self.left)
        other._candidate, other._chance, other._most = self._candidate, self._chance, self._most
        other._cpus, other._least_s, other._alarm = self._cpus, self._least_s, self._alarm
        other._computing, other._idle = dict(self._computing), set(self._idle)
        other._before = list(self._before)
        other._waiting = deque(list(each) for each in self._waiting)
        other._rows, other._ends = self._rows, list(self._ends)
        other._owed, other._rate = list(self._owed), self._rate.copy()
        return other

    def in_flight(self) -> Iterator[tuple[float, list[int]]]:
        """Return the end and the requests of each batch being computed, in no particular order."""
        return ((end, [request for request, _ in parts]) for end, _, parts in self._ends)

    @property
    def waiting(self) -> int:
        """The number of requests with waiting rows."""
        return len(self._waiting)

    def take_over(self, others: "Instances", now: float) -> None:
        """Take over the queue of others, and wait for the cores on which they still compute."""
        self._waiting, others._waiting = others._waiting, deque()
        self._rows, others._rows = others._rows, 0
        self._rate = others._rate
        ends = {seat: end for end, seat, _ in others._ends if seat != _NOBODY}
        computing = [(ends[seat], batch) for seat, batch in others._computing.items()]
        self._before = [each for each in (*others._before, *computing) if each[0] > now]
        for end, batch in self._before:
            heapq.heappush(self._ends, (min(end, max(now, batch.waited_until)), _NOBODY, []))
        self._pump(now)

    def _pump(self, now: float) -> None:
        if self._before:
            self._before = [
                (end, batch)
                for end, batch in self._before
                if end > now and batch.waited_until > now
            ]
        if not self._rows or not self._idle:
            return
        lanes = [
            Lane(self._busy_s(seat, now), threads, self._most[seat])
            for seat, threads in enumerate(self._candidate.threads)
        ]
        rows = min(self._rows, sum(self._most))
        known = self._candidate.busy
        counts = [rows] if len(lanes) == 1 else divide(rows, lanes, known)
        enough = batches(counts, lanes, known, self._rows, self._rate.at(now))
        for seat, count in enumerate(counts):
            if count and not lanes[seat].busy_s:
                self._dispatch(seat, enough[seat], count, now)
        if self._rows and any(not lanes[seat].busy_s for seat in self._idle):
            # they wait for a faster instance, which may take longer than expected
            again = now + max(MOMENT_S, self._least_s)
            if again < self._alarm:
                self._alarm = again
                heapq.heappush(self._ends, (again, _NOBODY, []))

    def _busy_s(self, seat: int, now: float) -> float:
        """Return the expected time until an instance can begin a batch."""
        ahead = [self._computing[seat]] if seat in self._computing else []
        if self._before:
            own = self._cpus[seat]
            ahead += [batch for _, batch in self._before if _meet(own, batch.cpus)]
        # a batch that is t seconds late is expected to take another t
        return max((max(MOMENT_S, abs(each.expected - now)) for each in ahead), default=0.0)

    def _dispatch(self, seat: int, enough: int, most: int, now: float) -> None:
        parts, taken = [], 0
        while taken < enough and self._waiting:
            front = self._waiting[0]
            count = min(most - taken, front[1])
            parts.append((front[0], count))
            taken += count
            front[1] -= count
            if not front[1]:
                self._waiting.popleft()
        self._rows -= taken
        expected = self._candidate.busy.seconds(self._candidate.threads[seat], taken)
        seconds = self._beside_others(seat, taken, expected)
        self._idle.discard(seat)
        if self._candidate.noise:
            seconds *= self._chance.choice(self._candidate.noise)
        self._computing[seat] = Batch(
            self._cpus[seat],
            now + expected,
            now + PATIENCE * expected + WAITED_S,
            taken,
            seconds,
            len(self._idle) == len(self._most) - 1,
        )
        # work that delayed the previous batch is added to this one; the total is the same
        seconds += self._candidate.pause_s + self._owed[seat]
        self._owed[seat] = 0.0
        heapq.heappush(self._ends, (now + seconds, seat, parts))

    def _beside_others(self, seat: int, rows: int, busy: float) -> float:
        """Return the latency of a forward, given how many other cores are busy now."""
        threads = self._candidate.threads
        others = sum(threads) - threads[seat]
        if self._candidate.alone is None or not others:
            return busy
        idle = sum(threads[each] for each in self._idle if each != seat)
        alone = self._candidate.alone.seconds(threads[seat], rows)
        return alone + (1 - idle / others) * (busy - alone)


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
