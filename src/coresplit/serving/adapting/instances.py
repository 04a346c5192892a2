"""Simulated instances: what waits for them, what they compute, and when each is idle again.

They begin and divide what ``serving.engine`` would: an instance that is later than expected is
expected to be as late again, rows that wait for a faster one are looked at anew, and instances
that take over wait for the cores that others compute on.
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
    """Instances that could serve, on cores one after the other.

    ``threads`` has those of each instance. ``busy`` are latencies while all instances are busy,
    ``alone`` those of an instance beside idle ones, ``busy`` where None. An instance takes
    ``most_rows`` at once, fewer where they would take longer than ``limit_s``. ``overhead_s`` is
    what a request takes beside its forward, and ``pause_s`` what an instance loses with each batch,
    in which it computes nothing. ``work_s`` is what a request takes of a core beside: it is done by
    an idle one, and where there is none an instance takes so much longer. ``noise`` are ratios of
    real latencies to predicted ones, from which each forward draws one; empty for none.
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


class _Batch(msgspec.Struct, frozen=True):
    """What is computed on which cores: until when that is expected, and waited for."""

    cpus: range
    expected: float
    waited_until: float


class Instances:
    """Those of a candidate. Requests are numbers; ``left`` has the rows of each that are due."""

    def __init__(
        self, candidate: Candidate, chance: random.Random, left: dict[int, int] | None = None
    ) -> None:
        self.left: dict[int, int] = {} if left is None else left
        self._candidate = candidate
        self._chance = chance
        threads, most = candidate.threads, candidate.most_rows
        self._most = [
            most_within(candidate.busy, each, most, candidate.limit_s) for each in threads
        ]
        firsts = [sum(threads[:seat]) for seat in range(len(threads))]
        self._cpus = [
            range(first, first + each) for first, each in zip(firsts, threads, strict=True)
        ]
        self._least_s = min(candidate.busy.seconds(each, 1) for each in threads)
        self._computing: dict[int, _Batch] = {}
        self._before: list[tuple[float, _Batch]] = []
        self._idle = set(range(len(threads)))
        self._waiting: deque[list[int]] = deque()
        self._rows = 0
        self._ends: list[tuple[float, int, list[tuple[int, int]]]] = []
        self._alarm = math.inf
        self._owed = [0.0] * len(threads)
        self._rate = Rate()

    @property
    def next_end(self) -> float:
        """When the next batch ends, or is looked at anew; infinite where nothing is to be done."""
        return self._ends[0][0] if self._ends else math.inf

    def arrive(self, request: int, rows: int, now: float) -> None:
        """A request comes."""
        self.left[request] = rows
        self._waiting.append([request, rows])
        self._rows += rows
        self._rate.come(now, rows)
        if not self._idle and self._candidate.work_s:
            (hit,) = self._chance.choices(range(len(self._owed)), self._candidate.threads)
            self._owed[hit] += self._candidate.work_s
        self._pump(now)

    def finish(self) -> tuple[float, list[int]]:
        """The next batch ends: when, and the requests that are done with it, which may be none."""
        now, seat, parts = heapq.heappop(self._ends)
        done = []
        if seat == _NOBODY:
            self._alarm = math.inf if now >= self._alarm else self._alarm
        else:
            self._idle.add(seat)
            del self._computing[seat]
        for request, rows in parts:
            self.left[request] -= rows
            if not self.left[request]:
                del self.left[request]
                done.append(request)
        self._pump(now)
        return now, done

    def copy(self) -> "Instances":
        """The same, to be run on without these."""
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
        """When each batch that is computed ends, and its requests, in no order."""
        return ((end, [request for request, _ in parts]) for end, _, parts in self._ends)

    @property
    def waiting(self) -> int:
        """Requests of which rows wait."""
        return len(self._waiting)

    def take_over(self, others: "Instances", now: float) -> None:
        """Take what waits for others, as soon as these have finished on the cores that it needs."""
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
            # they wait for a faster one, which may take longer than expected
            again = now + max(MOMENT_S, self._least_s)
            if again < self._alarm:
                self._alarm = again
                heapq.heappush(self._ends, (again, _NOBODY, []))

    def _busy_s(self, seat: int, now: float) -> float:
        """Until an instance can begin, as far as is known."""
        ahead = [self._computing[seat]] if seat in self._computing else []
        if self._before:
            own = self._cpus[seat]
            ahead += [batch for _, batch in self._before if _meet(own, batch.cpus)]
        # one that is late is expected to be as late again
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
        self._computing[seat] = _Batch(
            self._cpus[seat], now + expected, now + PATIENCE * expected + WAITED_S
        )
        if self._candidate.noise:
            seconds *= self._chance.choice(self._candidate.noise)
        # what was taken from the batch before shows in the next one, which is the same in all
        seconds += self._candidate.pause_s + self._owed[seat]
        self._owed[seat] = 0.0
        heapq.heappush(self._ends, (now + seconds, seat, parts))

    def _beside_others(self, seat: int, rows: int, busy: float) -> float:
        """What a forward takes beside as many busy cores as there are now."""
        threads = self._candidate.threads
        others = sum(threads) - threads[seat]
        if self._candidate.alone is None or not others:
            return busy
        idle = sum(threads[each] for each in self._idle if each != seat)
        alone = self._candidate.alone.seconds(threads[seat], rows)
        return alone + (1 - idle / others) * (busy - alone)


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
