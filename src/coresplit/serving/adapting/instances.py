"""Simulated instances: what waits for them, what they compute, and when each is idle again."""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator

import msgspec

from coresplit.serving.dividing import Lane, Latencies, divide, most_within


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that could serve.

    ``threads`` has those of each instance. ``busy`` are latencies while all instances are busy,
    ``alone`` those of an instance beside idle ones, ``busy`` where None. An instance takes
    ``most_rows`` at once, fewer where they would take longer than ``limit_s``. ``overhead_s`` is
    what a request takes beside its forward. ``noise`` are ratios of real latencies to predicted
    ones, from which each forward draws one; empty for none.
    """

    threads: tuple[int, ...]
    most_rows: int
    busy: Latencies
    alone: Latencies | None = None
    limit_s: float = math.inf
    overhead_s: float = 0.0
    noise: tuple[float, ...] = ()


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
        self._expected = [0.0] * len(threads)
        self._idle = set(range(len(threads)))
        self._waiting: deque[list[int]] = deque()
        self._rows = 0
        self._ends: list[tuple[float, int, list[tuple[int, int]]]] = []

    @property
    def next_end(self) -> float:
        """When the next batch ends; infinite where none is computed."""
        return self._ends[0][0] if self._ends else math.inf

    def arrive(self, request: int, rows: int, now: float) -> None:
        """A request comes."""
        self.left[request] = rows
        self._waiting.append([request, rows])
        self._rows += rows
        self._pump(now)

    def finish(self) -> tuple[float, list[int]]:
        """The next batch ends: when, and the requests that are done with it."""
        now, seat, parts = heapq.heappop(self._ends)
        self._idle.add(seat)
        done = []
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
        other._expected, other._idle = list(self._expected), set(self._idle)
        other._waiting = deque(list(each) for each in self._waiting)
        other._rows, other._ends = self._rows, list(self._ends)
        return other

    def in_flight(self) -> Iterator[tuple[float, list[int]]]:
        """When each batch that is computed ends, and its requests, in no order."""
        return ((end, [request for request, _ in parts]) for end, _, parts in self._ends)

    @property
    def waiting(self) -> int:
        """Requests of which rows wait."""
        return len(self._waiting)

    def take_over(self, others: "Instances", now: float) -> None:
        """Take what waits for others."""
        self._waiting, others._waiting = others._waiting, deque()
        self._rows, others._rows = others._rows, 0
        self._pump(now)

    def _pump(self, now: float) -> None:
        if not self._rows or not self._idle:
            return
        lanes = [
            Lane(0.0 if seat in self._idle else max(0.0, expected - now), threads, most)
            for seat, (threads, expected, most) in enumerate(
                zip(self._candidate.threads, self._expected, self._most, strict=True)
            )
        ]
        rows = min(self._rows, sum(self._most))
        for seat, count in enumerate(divide(rows, lanes, self._candidate.busy)):
            if count and seat in self._idle:
                self._dispatch(seat, count, now)

    def _dispatch(self, seat: int, rows: int, now: float) -> None:
        parts, taken = [], 0
        while taken < rows and self._waiting:
            front = self._waiting[0]
            count = min(rows - taken, front[1])
            parts.append((front[0], count))
            taken += count
            front[1] -= count
            if not front[1]:
                self._waiting.popleft()
        self._rows -= taken
        self._idle.discard(seat)
        expected = self._candidate.busy.seconds(self._candidate.threads[seat], taken)
        self._expected[seat] = now + expected
        seconds = self._beside_others(seat, taken, expected)
        if self._candidate.noise:
            seconds *= self._chance.choice(self._candidate.noise)
        heapq.heappush(self._ends, (now + seconds, seat, parts))

    def _beside_others(self, seat: int, rows: int, busy: float) -> float:
        """What a forward takes beside as many busy cores as there are now."""
        threads = self._candidate.threads
        others = sum(threads) - threads[seat]
        if self._candidate.alone is None or not others:
            return busy
        share = 1 - sum(threads[each] for each in self._idle) / others
        alone = self._candidate.alone.seconds(threads[seat], rows)
        return alone + share * (busy - alone)
