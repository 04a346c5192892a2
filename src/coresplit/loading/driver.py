"""Send requests when they are due, whether or not earlier ones were answered.

Latency counts from when a request was due, not from when it could be sent. If a server stalls, all
requests due meanwhile are late; a generator that waited for it would never send them and so miss
the delay (Tene, "How NOT to Measure Latency", Strange Loop 2015).
"""

import asyncio
import heapq
import math
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from coresplit.loading.tally import Tally
from coresplit.loading.timer import Timer
from coresplit.loading.wire.address import Address
from coresplit.loading.wire.connection import Answer
from coresplit.loading.wire.pool import Pool
from coresplit.loading.wire.request import Prepared

_SWEEP_S = 0.05
_HEARTBEAT_S = 0.02
_AT_ONCE = 64
"""Requests sent in a row before answers are processed."""
_AFTER_FAILURE_S = 0.1
FIRST_CONNECTIONS = 8

Due = tuple[float, Prepared]
"""When a request is due, in seconds since the start, and what to send."""


class Checker(Protocol):
    """Checks answers."""

    def check(self, request: Prepared, answer: Answer) -> str:
        """Return the kind of error, or an empty string if the answer is right."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a load ends; times in seconds.

    It ends after ``duration``, after ``requests``, or once more than ``most_late`` of them are
    late, whichever comes first. A request fails ``timeout`` after it was due.
    """

    duration: float = math.inf
    requests: float = math.inf
    timeout: float = 30.0
    connections: int = 1000
    most_late: float = math.inf


class Driver:
    """Loads one server once with the requests of ``schedule``.

    With ``clients`` 0 the loop is open: each request is sent at its time. Else it is closed: each
    client sends the next request ``think`` seconds after its last answer, and the times of the
    schedule are ignored.
    """

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        checker: Checker,
        tally: Tally,
        *,
        schedule: Iterator[Due],
        limits: Limits,
        clients: int = 0,
        think: float = 0.0,
        on_second: Callable[[], None] = lambda: None,
    ) -> None:
        self.interrupted = False
        self.stopped_early = False
        self._check = checker.check
        self._tally = tally
        self._schedule = schedule
        self._limits = limits
        self._clients = clients
        self._think = think
        self._on_second = on_second
        self._begun = tally.begun
        self._pool = Pool(address, tls, clients or limits.connections, self)
        self._timer = Timer(self._ring)
        self._next: Due | None = None
        self._taken = 0
        self._ending = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thinking: list[float] = []
        self._beat_at = math.inf

    @property
    def unfinished(self) -> int:
        """The number of requests due that have neither been answered nor failed."""
        return self._pool.unfinished

    @property
    def connections(self) -> int:
        """The largest number of connections open at once."""
        return self._pool.largest

    async def run(self) -> int:
        """Load until all requests have ended or been given up; return how many are unfinished."""
        await self._pool.open(self._clients or min(FIRST_CONNECTIONS, self._limits.connections))
        await asyncio.sleep(max(0.0, self._begun - time.monotonic()))
        if self._clients:
            self._thinking = [self._begun] * self._clients
            self._beat_at = self._begun
        else:
            self._advance()
        watch = asyncio.get_running_loop().create_task(self._watch())
        self._ring()
        try:
            await self._done
            return self.unfinished
        finally:
            watch.cancel()
            self._timer.close()
            await self._pool.close()

    def stop(self) -> None:
        """End now; in-flight requests are left unfinished."""
        self.interrupted = True
        self._end(time.monotonic(), wait=False)

    # sending

    def _ring(self) -> None:
        now = time.monotonic()
        if self._ending:
            return
        if self._clients:
            self._ring_closed(now)
        else:
            self._ring_open(now)

    def _ring_open(self, now: float) -> None:
        for _ in range(_AT_ONCE):
            if self._next is None:
                return
            due_at, request = self._next
            if due_at > now:
                break
            self._tally.due(due_at)
            self._tally.lag(due_at, now)
            self._pool.send(due_at, request)
            self._advance()
        if self._next is not None:
            self._timer.set(self._next[0])

    def _advance(self) -> None:
        """Take the next request of an open loop."""
        self._next = None
        found = self._take()
        if found is None:
            # a schedule may run out of requests before the duration has passed
            if self._taken >= self._limits.requests or math.isinf(self._limits.duration):
                self._end(math.inf)
        elif found[0] < self._limits.duration:
            self._next = self._begun + found[0], found[1]

    def _ring_closed(self, now: float) -> None:
        if now >= self._beat_at:
            self._tally.lag(self._beat_at, now)
            self._beat_at = now + _HEARTBEAT_S
        while self._thinking and self._thinking[0] <= now and not self._ending:
            heapq.heappop(self._thinking)
            self._ask(now)
        self._set_closed()

    def _set_closed(self) -> None:
        self._timer.set(min(self._beat_at, self._thinking[0] if self._thinking else math.inf))

    def _ask(self, now: float) -> None:
        """Send the next request of a client, if there is one."""
        found = self._take()
        if found is None:
            self._end(math.inf)
            return
        self._tally.due(now)
        self._pool.send(now, found[1])

    def _again(self, now: float, pause: float) -> None:
        """Let a client that got its answer or error continue after ``pause`` seconds."""
        if not self._clients or self._ending:
            return
        if pause <= 0:
            self._ask(now)
        else:
            heapq.heappush(self._thinking, now + pause)
            self._set_closed()

    def _take(self) -> Due | None:
        if self._taken >= self._limits.requests:
            return None
        found = next(self._schedule, None)
        self._taken += found is not None
        return found

    # called by the pool

    def answered(self, request: Prepared, due_at: float, answer: Answer) -> None:
        """Count an answer, right or wrong."""
        wrong = self._check(request, answer)
        if wrong:
            self._tally.failed(due_at, wrong)
        else:
            self._tally.answered(due_at, answer.at, max(request.rows, 1))
        self._again(time.monotonic() if self._clients else 0.0, self._think)
        if self._ending:
            self._settle()

    def failed(self, due_at: float, reason: str) -> None:
        """Count a request that got no answer."""
        self._tally.failed(due_at, reason)
        self._again(time.monotonic(), max(self._think, _AFTER_FAILURE_S))
        if self._ending:
            self._settle()

    def waits(self) -> None:
        """Count a request that waits because all connections are in use."""
        self._tally.waited += 1

    # the end

    async def _watch(self) -> None:
        """Time out requests, end the load in time, and record every second."""
        next_second = self._begun + 1
        ends_at = self._begun + self._limits.duration
        while True:
            now = time.monotonic()
            await asyncio.sleep(max(0.0, min(_SWEEP_S, ends_at - now, next_second - now)))
            now = time.monotonic()
            if now >= next_second:
                self._tally.tick(self.unfinished)
                self._on_second()
                next_second += math.floor(now - next_second) + 1
            if now >= ends_at:
                if self._next is None:
                    self._end(ends_at)
                    ends_at = math.inf
                else:
                    # this process stalled: what was due before the end is still sent
                    self._ring()
            self._pool.give_up(now - self._limits.timeout)
            if self._too_late(now):
                self.stopped_early = True
                self._end(now, wait=False)

    def _too_late(self, now: float) -> bool:
        if math.isinf(self._limits.most_late):
            return False
        since, until = self._tally.measured_at, now - self._tally.within
        late = self._tally.late + self._pool.overdue(since, until)
        return late > self._limits.most_late

    def _end(self, at: float, *, wait: bool = True) -> None:
        """Send nothing due from ``at`` on; infinity means the time of the last answer."""
        if not self._ending:
            self._ending = True
            self._next = None
            self._tally.end(at)
        if not wait and not self._done.done():
            self._done.set_result(None)
        self._settle()

    def _settle(self) -> None:
        if not self.unfinished and not self._done.done():
            self._done.set_result(None)
