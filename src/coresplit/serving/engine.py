"""The engine: dispatch jobs to instances as soon as possible, and retry those that one loses."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

from coresplit.instance import Infer, Inferred, Ready
from coresplit.serving.crew import Crew, CrewSettings, Start
from coresplit.serving.dividing import Lane, divide
from coresplit.serving.failures import GONE, LATE, STOPPED, TOO_LATE, UNREADY
from coresplit.serving.lineup import MOMENT_S, Lineup
from coresplit.serving.queue import Failure, Job, Part, Queue, rows_computed, rows_of
from coresplit.serving.seats import Observer, Seat
from coresplit.serving.sets import InstanceSet
from coresplit.serving.settings import Settings
from coresplit.serving.sizing import Rate, batches
from coresplit.serving.waiting import Alarm, Change, require_alike

RATE_WEIGHT = 0.1
TRUST_S = 1.0
"""If nothing was computed for this long, predicted latencies are not used to refuse requests."""


class Engine:
    """Runs jobs on the instances of one set at a time, starting with the set ``first``.

    ``hears`` is called with the arrival time and rows of each job, ``times`` with the seat, rows
    and seconds of each batch; ``on_change`` whenever an instance becomes ready or idle or is lost.
    All runs on the event loop of the main thread: instances end with the thread that started them.
    """

    def __init__(
        self,
        start: Start,
        first: InstanceSet,
        settings: Settings,
        observer: Observer,
        *,
        crew: CrewSettings = CrewSettings(),  # noqa: B008 (frozen)
    ) -> None:
        self.hears: Callable[[float, int], None] = lambda at, rows: None
        self.times: Callable[[Seat, int, float], None] = lambda seat, rows, seconds: None
        self.on_change: Callable[[], None] = lambda: None
        self._settings = settings
        self._observer = observer
        self._queue = Queue(settings.most_requests)
        self._loop = asyncio.get_running_loop()
        self._changed = Change()
        self._alarm = Alarm(self._loop, self.pump)
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._computed_at = self._loop.time()
        self._rate = 0.0
        self._arriving = Rate()
        self.in_system = 0
        """Requests that are waiting or being computed."""
        self._served: Ready | None = None
        self.crew = Crew(start, crew, observer, self)
        self._lineup: Lineup
        self.take_over(first)

    @property
    def active(self) -> InstanceSet:
        """The active set."""
        return self._lineup.chosen

    @property
    def seats(self) -> int:
        """The number of instances of the active set, ready or not."""
        return len(self._lineup.seats)

    @property
    def alive(self) -> int:
        """The number of instances of the active set that are ready."""
        return self.crew.alive

    @property
    def accepting(self) -> bool:
        """Whether an instance is ready, or a lost one is expected to be ready again soon."""
        return self.crew.alive > 0 or self.crew.recovering

    @property
    def queued(self) -> int:
        """The number of waiting requests."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether another request must be refused."""
        return self._queue.full

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of all running instances."""
        return tuple(s.instance.pid for s in self.crew.seats if s.instance is not None)

    @property
    def working(self) -> bool:
        """Whether anything waits or is being computed."""
        busy = any(seat.batch for seat in self.crew.seats)
        return bool(len(self._queue) or self._queue.has_again or busy)

    def retry_after_s(self) -> float:
        """Seconds until a request refused now may find room, from the observed throughput."""
        return self._queue.rows / self._rate if self._rate > 0 else 1.0

    def open(self) -> None:
        """Start the instances of the first set."""
        self.crew.open(self._lineup.seats)

    def take_over(self, chosen: InstanceSet) -> None:
        """Make a set active; instances of the previous one finish their batches."""
        seats = [self.crew.seat(place) for place in chosen.places]
        for seat in self.crew.seats:
            seat.active = seat in seats
        self._lineup = Lineup(chosen, seats, self.crew.seats, self._settings.limit_s)
        self._changed.tell()
        self.pump()

    async def wait_ready(self, instances: int) -> Ready:
        """Wait until this many instances are ready; return the Ready message of one.

        Raises the InstanceError of an instance that failed while none was ready.
        """
        while self.alive < instances:
            if self.crew.fault is not None:
                raise self.crew.fault
            await self._changed.wait()
        return next(seat.ready for seat in self._lineup.seats if seat.ready is not None)

    def submit(self, job: Job) -> None:
        """Queue a job to run as soon as an instance has room; it fails at its deadline."""
        if job.deadline < math.inf:
            self._timers[id(job)] = self._loop.call_at(job.deadline, self._end, job, LATE)
        self._queue.put(job)
        self.in_system += 1
        self._arriving.come(job.arrived_at, job.rows)
        self.hears(job.arrived_at, job.rows)
        self.pump()

    def forget(self, job: Job) -> None:
        """Drop the waiting rows of a job whose client has disconnected."""
        self._end(job, GONE)

    async def drained(self, grace_s: float) -> bool:
        """Wait for all jobs to end; False if some are left after ``grace_s`` seconds."""
        end = self._loop.time() + grace_s
        while self.working:
            left = end - self._loop.time()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return True

    def close(self) -> None:
        """End all instances, and fail every remaining job with 503."""
        self._alarm.stop()
        left = self.crew.close()
        for part in left:
            part.job.in_flight -= 1
            part.job.leave()
        for job in [*(part.job for part in left), *self._queue.everything()]:
            self._end(job, STOPPED)

    def pump(self) -> None:
        """Dispatch waiting rows to idle instances; batches to retry go first."""
        if not self._queue.rows and not self._queue.has_again:
            return
        now, lineup = self._loop.time(), self._lineup
        free = lineup.free(now)
        for seat in free:
            while seat.idle and self._queue.has_again:
                if again := self._queue.take_again(lineup.chosen.most_rows):
                    self._dispatch(seat, again)
        if (opens_at := lineup.opens_at(now)) is not None:
            self._alarm.set(opens_at)
        free = [seat for seat in free if seat.idle]
        if not self._queue.rows or not free:
            return
        working = [seat for seat in lineup.seats if seat.ready is not None]
        lanes = [lineup.lane(seat, now) for seat in working]
        if self._waits(now, sum(lane.most for lane in lanes if not lane.busy_s)):
            return
        rows = min(self._queue.rows, sum(lane.most for lane in lanes))
        # with one instance there is nothing to divide
        counts = [rows] if len(lanes) == 1 else divide(rows, lanes, lineup.latencies)
        enough = self._enough(counts, lanes, now)
        least_s = [lineup.latencies.seconds(seat.threads, 1) for seat in working]
        ends_at = now + (min(least_s) if now - self._computed_at < TRUST_S else 0.0)
        late: list[Job] = []
        for seat, some, most in zip(working, enough, counts, strict=True):
            if most and seat in free and seat.idle:
                batch, dropped = self._queue.take(some, most, ends_at)
                late += dropped
                if batch:
                    self._dispatch(seat, tuple(batch))
        for job in late:
            self._end(job, TOO_LATE)
        if self._queue.rows and any(seat.idle for seat in free):
            # they wait for a faster instance, which may take longer than expected
            self._alarm.set(now + max(MOMENT_S, *least_s))

    # called by the crew

    def computed(self, seat: Seat, batch: tuple[Part, ...], reply: Inferred) -> None:
        """A batch is done: end the jobs whose last part it held."""
        self._computed_at = self._loop.time()
        if rows := rows_computed(batch, reply.refused):
            if seat.latencies is not None:
                seat.latencies.observe(seat.threads, rows, reply.compute_s)
                self._lineup.forget(seat.threads)
            self.times(seat, rows, reply.compute_s)
            # the clock of an event loop may have a resolution of only a millisecond
            rate = rows / max(1e-6, reply.ended_at - reply.started_at) * max(1, self.alive)
            self._rate += (rate - self._rate) * (RATE_WEIGHT if self._rate else 1.0)
        for part, refused in zip(batch, reply.refused, strict=True):
            job = part.job
            job.in_flight -= 1
            job.left -= part.count
            job.compute_s = max(job.compute_s, reply.compute_s)
            if job.ended:
                job.leave()
            elif refused:
                self._end(job, Failure(400, refused))
            elif job.left == 0:
                self._end(job, None)

    def failed(self, batch: tuple[Part, ...], reason: str) -> None:
        """A batch was lost: run it again, or fail a request lost before and now alone in it."""
        for part in batch:
            part.job.in_flight -= 1
            part.job.leave()
        again = [part for part in batch if not part.job.ended]
        jobs = {id(part.job): part.job for part in batch}
        if again and len(jobs) == 1 and batch[0].deaths >= 1:
            self._end(batch[0].job, Failure(500, f"the model failed on this request: {reason}"))
        elif again:
            self._observer.retried(len(again))
            self._queue.put_back(again)

    def check(self, ready: Ready) -> None:
        """Raise InstanceError if the instance's model differs from that of the others."""
        self._served = self._served or ready
        require_alike(self._served, ready)

    def ready(self, seat: Seat) -> None:
        """An instance is ready."""
        if seat.active:
            self._lineup.learn(seat)

    def changed(self) -> None:
        """An instance has become ready or idle, or was lost."""
        self._changed.tell()
        self.on_change()
        if not self.accepting:
            for job in list(self._queue.everything()):
                self._end(job, UNREADY)
        self.pump()

    def _end(self, job: Job, failure: Failure | None) -> None:
        """End a job, and drop its waiting rows if it failed; the only place where jobs end."""
        timer = self._timers.pop(id(job), None)
        if timer is not None:
            timer.cancel()
        if failure is not None:
            self._queue.forget(job)
        self.in_system -= not job.ended
        job.end(failure)
        self._changed.tell()

    def _dispatch(self, seat: Seat, batch: tuple[Part, ...]) -> None:
        now = self._loop.time()
        rows = sum(part.count for part in batch)
        seat.latencies = self._lineup.latencies
        expected = seat.latencies.seconds(seat.threads, rows)
        seat.busy_until = now + expected
        for part in batch:
            part.job.in_flight += 1
            part.job.begun_at = part.job.begun_at or now
        patience = self._settings.patience * expected + self._settings.slack_s
        self.crew.compute(seat, batch, Infer(rows=tuple(map(rows_of, batch))), patience)

    def _enough(self, counts: list[int], lanes: list[Lane], now: float) -> list[int]:
        """Return how many of its ``counts`` each lane takes next."""
        if self._settings.batch_timeout_s:
            # requests that waited to form a batch are computed together
            return counts
        rate = self._arriving.at(now)
        return batches(counts, lanes, self._lineup.latencies, self._queue.rows, rate)

    def _waits(self, now: float, most: int) -> bool:
        """Whether to wait for more rows because fewer than ``most`` are there; sets the alarm."""
        oldest, timeout = self._queue.oldest_at, self._settings.batch_timeout_s
        if not timeout or oldest is None:
            return False
        if oldest + timeout <= now or self._queue.rows >= most:
            return False
        self._alarm.set(oldest + timeout)
        return True
