"""Instances at work: requests are dispatched without waiting, and what dies is replaced."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from coresplit.errors import InstanceError
from coresplit.instance import Infer, Inferred, InstanceSpec, Ready, Rows, Text, check_readback
from coresplit.instance.messages import Failure as InstanceFailure
from coresplit.instance.messages import Reply
from coresplit.serving.dividing import Lane, Latencies, divide, most_within
from coresplit.serving.queue import Failure, Job, Part, Queue

PATIENCE, SLACK_S = 5.0, 30.0
"""A batch may take so many times what is expected, and so many seconds more."""
PREPARE_S = 1800.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
"""Before an instance that died is started again; doubled while it goes on dying."""
STEADY_S = 60.0
"""An instance that lived so long begins with the first pause again."""
LOOK_S = 1.0


class ServingInstance(Protocol):
    """What the engine needs of an instance: a face that never blocks."""

    spec: InstanceSpec

    @property
    def pid(self) -> int:
        """Process id."""

    def fileno(self) -> int:
        """Readable when there is a reply, or when it has died."""

    def send(self, command: Infer) -> None:
        """Have a batch computed; raises InstanceError where it has died."""

    def poll(self) -> Reply | None:
        """The next reply if it is there; raises InstanceDied."""

    def close(self) -> None:
        """End it."""


class Observer(Protocol):
    """Hears what the engine does, for metrics and logs."""

    def computed(self, instance: int, rows: int, compute_s: float) -> None:
        """A batch was computed."""

    def lost(self, instance: int, reason: str) -> None:
        """An instance died, overran its deadline or grew too large."""

    def retried(self, requests: int) -> None:
        """So many requests of a lost batch run again."""

    def ready(self, instance: int, ready: Ready) -> None:
        """An instance is ready."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine behaves; times in seconds, memory in bytes.

    An instance takes ``most_rows`` at once, fewer where ``limit_s`` would be passed. With
    ``batch_timeout_s`` a request waits for others so long unless a whole batch is there.
    """

    most_rows: int
    most_requests: int = 1000
    limit_s: float = math.inf
    batch_timeout_s: float = 0.0
    slack_s: float = SLACK_S
    patience: float = PATIENCE
    memory_factor: float = 3.0
    prepare_s: float = PREPARE_S
    first_pause_s: float = FIRST_PAUSE_S


class _Seat:
    """The place of one instance: its process now, what it computes, and how it has fared."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.instance: ServingInstance | None = None
        self.ready: Ready | None = None
        self.batch: tuple[Part, ...] = ()
        self.busy_until = 0.0
        self.begun_at = 0.0
        self.deadline: asyncio.TimerHandle | None = None
        self.pause_s = 0.0
        self.started_at = 0.0
        self.restarts = 0

    @property
    def idle(self) -> bool:
        """Whether it can take a batch."""
        return self.ready is not None and not self.batch

    @property
    def rows(self) -> int:
        """Rows that it computes."""
        return sum(part.count for part in self.batch)


class Engine:
    """Runs jobs on instances that ``start`` makes, one a seat.

    Everything runs on the event loop of the thread that calls, which must be the main thread, as
    instances end with the thread that started them. ``latencies`` are updated by what is observed.
    """

    def __init__(
        self,
        start: Callable[[int], ServingInstance],
        threads: Sequence[int],
        settings: Settings,
        latencies: Latencies,
        observer: Observer,
    ) -> None:
        self._start = start
        self._threads = tuple(threads)
        self._settings = settings
        self._latencies = latencies
        self._observer = observer
        self._seats = [_Seat(number) for number in range(len(threads))]
        self._queue = Queue(settings.most_requests)
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        self._waiter: asyncio.TimerHandle | None = None
        self._closing = False
        self._changed = asyncio.Event()
        self._rate = 0.0
        self._later(LOOK_S, self._look)

    @property
    def seats(self) -> int:
        """Instances there are when all are well."""
        return len(self._seats)

    @property
    def alive(self) -> int:
        """Instances that are ready."""
        return sum(seat.ready is not None for seat in self._seats)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def restarts(self) -> int:
        """How often an instance was replaced."""
        return sum(seat.restarts for seat in self._seats)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the instances that are there now."""
        return tuple(seat.instance.pid for seat in self._seats if seat.instance is not None)

    def begin(self) -> None:
        """Start all instances; they become ready one by one."""
        for seat in self._seats:
            self._open(seat)

    async def first_ready(self) -> Ready:
        """What the first instance that is ready reads back.

        Raises the InstanceError of an instance that failed while none was ready yet.
        """
        while True:
            for seat in self._seats:
                if seat.ready is not None:
                    return seat.ready
            if self._fault is not None:
                raise self._fault
            await self._next_change()

    async def all_ready(self) -> None:
        """Return when every instance is ready; raises as ``first_ready`` does."""
        while self.alive < len(self._seats):
            if self._fault is not None:
                raise self._fault
            await self._next_change()

    def submit(self, job: Job) -> None:
        """Have a job run as soon as an instance has room."""
        self._queue.put(job)
        self.pump()

    @property
    def full(self) -> bool:
        """Whether another request must be refused."""
        return self._queue.full

    def retry_after_s(self) -> float:
        """Seconds until a request that is refused now may find room, from the observed rate."""
        return self._queue.rows / self._rate if self._rate > 0 else 1.0

    def forget(self, job: Job) -> None:
        """Drop what has not begun of a job whose client has gone."""
        self._queue.forget(job)

    @property
    def working(self) -> bool:
        """Whether anything waits or is being computed."""
        return bool(len(self._queue) or self._queue.has_again or any(s.batch for s in self._seats))

    async def drained(self, grace_s: float) -> bool:
        """Whether everything was done within so many seconds."""
        end = self._loop.time() + grace_s
        while self.working:
            left = end - self._loop.time()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next_change(), left)
        return True

    def close(self) -> None:
        """End all instances, and every job that is left with 503."""
        self._closing = True
        for timer in self._timers:
            timer.cancel()
        for seat in self._seats:
            self._end(seat)
            for part in seat.batch:
                part.job.end(Failure(503, "the server was stopped"))
            seat.batch = ()
        for job in self._queue.everything():
            job.end(Failure(503, "the server was stopped"))

    def pump(self) -> None:
        """Give idle instances what waits, as it is divided best."""
        now = self._loop.time()
        for job in self._queue.late(now, self._least_s()):
            job.end(Failure(504, "the request cannot be answered before its timeout"))
        for seat in self._idle():
            if not self._queue.has_again:
                break
            self._dispatch(seat, self._queue.take_again())
        idle = list(self._idle())
        if not idle or not self._queue.rows or self._waits(now):
            return
        working = [seat for seat in self._seats if seat.ready is not None]
        lanes = [self._lane(seat, now) for seat in working]
        most = sum(lane.most for lane in lanes)
        counts = divide(min(self._queue.rows, most), lanes, self._latencies)
        for seat, count in zip(working, counts, strict=True):
            if count and seat.idle and (batch := self._queue.take(count)):
                self._dispatch(seat, tuple(batch))

    def _idle(self) -> Iterator[_Seat]:
        return (seat for seat in self._seats if seat.idle)

    def _lane(self, seat: _Seat, now: float) -> Lane:
        threads = self._threads[seat.number]
        most = most_within(
            self._latencies, threads, self._settings.most_rows, self._settings.limit_s
        )
        return Lane(max(0.0, seat.busy_until - now) if seat.batch else 0.0, threads, most)

    def _least_s(self) -> float:
        return min((self._latencies.seconds(threads, 1) for threads in self._threads), default=0.0)

    def _waits(self, now: float) -> bool:
        """Whether requests should wait for more of their kind; then a timer looks again."""
        oldest, timeout = self._queue.oldest_at, self._settings.batch_timeout_s
        if not timeout or oldest is None:
            return False
        if self._queue.rows >= self._settings.most_rows * self.alive:
            return False
        left = oldest + timeout - now
        if left <= 0:
            return False
        if self._waiter is None or self._waiter.cancelled():
            self._waiter = self._later(left, self._waited)
        return True

    def _waited(self) -> None:
        self._waiter = None
        self.pump()

    def _dispatch(self, seat: _Seat, batch: tuple[Part, ...]) -> None:
        assert seat.instance is not None
        now = self._loop.time()
        seat.batch = batch
        seat.begun_at = now
        expected = self._latencies.seconds(self._threads[seat.number], seat.rows)
        seat.busy_until = now + expected
        for part in batch:
            part.job.begun_at = part.job.begun_at or now
        patience = self._settings.patience * expected + self._settings.slack_s
        seat.deadline = self._later(patience, self._overran, seat)
        try:
            seat.instance.send(Infer(rows=tuple(map(_rows, batch))))
        except InstanceError as error:
            self._lose(seat, str(error))

    def _heard(self, seat: _Seat) -> None:
        """A reply is there, or the instance has died."""
        while seat.instance is not None:
            try:
                reply = seat.instance.poll()
                if reply is None:
                    return
                self._take(seat, reply)
            except InstanceError as error:
                self._lose(seat, error)
                return

    def _take(self, seat: _Seat, reply: Reply) -> None:
        assert seat.instance is not None
        if isinstance(reply, Ready):
            check_readback(seat.instance.spec, reply)
            self._cancel(seat)
            seat.ready = reply
            self._observer.ready(seat.number, reply)
        elif isinstance(reply, Inferred):
            self._finish(seat, reply)
        elif isinstance(reply, InstanceFailure) and seat.ready is not None:
            self._cancel(seat)
            batch, seat.batch = seat.batch, ()
            self._again(batch, reply.message)
        elif isinstance(reply, InstanceFailure):
            raise InstanceError(f"{seat.instance.spec}: {reply.message}", reply.remedy, reply.option)
        self._notify()
        self.pump()

    def _finish(self, seat: _Seat, reply: Inferred) -> None:
        self._cancel(seat)
        rows = seat.rows
        batch, seat.batch = seat.batch, ()
        threads = self._threads[seat.number]
        self._latencies.observe(threads, rows, reply.compute_s)
        took = max(1e-9, self._loop.time() - seat.begun_at)
        rate = rows / took * self.alive
        self._rate = rate if not self._rate else self._rate + 0.1 * (rate - self._rate)
        self._observer.computed(seat.number, rows, reply.compute_s)
        for part, refused in zip(batch, reply.refused, strict=True):
            job = part.job
            job.in_flight -= 1
            job.left -= part.count
            job.compute_s = max(job.compute_s, reply.compute_s)
            if refused:
                self._queue.forget(job)
                job.end(Failure(400, refused))
            elif job.left == 0:
                job.end(None)

    def _again(self, batch: tuple[Part, ...], reason: str) -> None:
        """Run a lost batch again, or end the one request that is to blame."""
        for part in batch:
            part.job.in_flight -= 1
        alone = len({id(part.job) for part in batch}) == 1
        if alone and batch[0].deaths >= 1:
            job = batch[0].job
            self._queue.forget(job)
            job.end(Failure(500, f"the model failed on this request: {reason}"))
            return
        for part in batch:
            part.job.in_flight += 1
        self._observer.retried(len(batch))
        self._queue.put_back(batch)

    def _overran(self, seat: _Seat) -> None:
        self._lose(seat, "it did not answer before its deadline")

    def _lose(self, seat: _Seat, reason: InstanceError | str) -> None:
        """End an instance, start another after a pause, and have its batch run elsewhere."""
        if seat.ready is None and not self.alive and isinstance(reason, InstanceError):
            self._fault = reason
        lived = self._loop.time() - seat.started_at
        self._end(seat)
        batch, seat.batch = seat.batch, ()
        if self._closing:
            return
        self._observer.lost(seat.number, str(reason))
        seat.restarts += 1
        first = self._settings.first_pause_s
        seat.pause_s = first if lived > STEADY_S else min(LONGEST_PAUSE_S, 2 * seat.pause_s or first)
        self._later(seat.pause_s, self._open, seat)
        if batch:
            self._again(batch, str(reason))
        self._notify()
        self.pump()

    def _open(self, seat: _Seat) -> None:
        if self._closing:
            return
        seat.started_at = self._loop.time()
        try:
            seat.instance = self._start(seat.number)
        except (InstanceError, OSError) as error:
            self._lose(seat, str(error))
            return
        self._loop.add_reader(seat.instance.fileno(), self._heard, seat)
        seat.deadline = self._later(self._settings.prepare_s, self._overran, seat)

    def _end(self, seat: _Seat) -> None:
        self._cancel(seat)
        seat.ready = None
        if seat.instance is not None:
            instance, seat.instance = seat.instance, None
            self._loop.remove_reader(instance.fileno())
            instance.close()

    def _cancel(self, seat: _Seat) -> None:
        if seat.deadline is not None:
            seat.deadline.cancel()
            self._timers.discard(seat.deadline)
            seat.deadline = None

    def _look(self) -> None:
        """Replace instances that have grown too large; drop what has become too late."""
        for seat in self._seats:
            if seat.ready is None or seat.batch or seat.instance is None:
                continue
            if _memory(seat.instance.pid) > self._settings.memory_factor * seat.ready.memory:
                self._lose(seat, "it grew beyond its memory bound")
        self.pump()
        self._later(LOOK_S, self._look)

    def _later(
        self, seconds: float, call: Callable[..., None], *arguments: object
    ) -> asyncio.TimerHandle:
        def run() -> None:
            self._timers.discard(timer)
            call(*arguments)

        timer = self._loop.call_later(seconds, run)
        self._timers.add(timer)
        return timer

    _fault: InstanceError | None = None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()


def _rows(part: Part) -> Rows:
    """Where an instance reads and writes the rows of a part."""
    job = part.job
    return Rows(
        count=part.count,
        inputs=tuple(
            Text(offset=at.offset, size=at.size, skip=part.first)
            if isinstance(at, Text)
            else at + part.first * size
            for at, size in zip(job.inputs, job.row_bytes, strict=True)
        ),
        outputs=tuple(
            at + part.first * size for at, size in zip(job.outputs, job.out_bytes, strict=True)
        ),
    )


def _memory(pid: int) -> int:
    """Resident bytes of a process; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 (read once a second)
            return int(file.read().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return 0
