"""What a split would make of a load: the dispatch of the engine, replayed with predicted latencies.

Times are simulated, so that an hour of load takes a second. A request is a row count and the moment
it arrives; the policy is that of ``serving.engine``: an idle instance takes work at once, and rows
that wait are divided as ``serving.dividing`` says.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from coresplit.serving.dividing import Lane, Latencies, divide, most_within

Arrival = tuple[float, int]
"""Seconds since the beginning, and rows."""


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


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each request, in the order of arrival; times in seconds.

    ``latencies`` are infinite for requests that were still there when the load ended and nothing
    was waited for. ``rows`` were computed in ``seconds``.
    """

    latencies: tuple[float, ...]
    rows: int
    seconds: float
    in_system: float

    def quantile(self, share: float) -> float:
        """The latency that this share of the requests did not exceed; NaN without requests."""
        ordered = sorted(self.latencies)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan

    @property
    def throughput(self) -> float:
        """Rows per second; NaN where no time has passed."""
        return self.rows / self.seconds if self.seconds else math.nan


class _Instances:
    """The instances of a candidate, what waits for them, and when each is idle again."""

    def __init__(self, candidate: Candidate, chance: random.Random) -> None:
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
        self.ends: list[tuple[float, int, list[tuple[int, int]]]] = []
        self.left: dict[int, int] = {}

    def arrive(self, request: int, rows: int, now: float) -> None:
        """A request comes."""
        self.left[request] = rows
        self._waiting.append([request, rows])
        self._rows += rows
        self._pump(now)

    def finish(self) -> tuple[float, list[int]]:
        """The next batch ends: when, and the requests that are done with it."""
        now, seat, parts = heapq.heappop(self.ends)
        self._idle.add(seat)
        done = []
        for request, rows in parts:
            self.left[request] -= rows
            if not self.left[request]:
                del self.left[request]
                done.append(request)
        self._pump(now)
        return now, done

    def _pump(self, now: float) -> None:
        if not self._rows or not self._idle:
            return
        candidate = self._candidate
        lanes = [
            Lane(0.0 if seat in self._idle else max(0.0, expected - now), threads, most)
            for seat, (threads, expected, most) in enumerate(
                zip(candidate.threads, self._expected, self._most, strict=True)
            )
        ]
        rows = min(self._rows, sum(self._most))
        for seat, count in enumerate(divide(rows, lanes, candidate.busy)):
            if count and seat in self._idle:
                self._dispatch(seat, count, now)

    def _dispatch(self, seat: int, rows: int, now: float) -> None:
        parts = []
        taken = 0
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
        candidate, threads = self._candidate, self._candidate.threads[seat]
        expected = candidate.busy.seconds(threads, taken)
        self._expected[seat] = now + expected
        seconds = self._between(seat, taken, expected)
        if candidate.noise:
            seconds *= self._chance.choice(candidate.noise)
        heapq.heappush(self.ends, (now + seconds, seat, parts))

    def _between(self, seat: int, rows: int, busy: float) -> float:
        """What a forward takes beside as many busy cores as there are now."""
        candidate = self._candidate
        if candidate.alone is None:
            return busy
        threads = candidate.threads
        others = sum(threads) - threads[seat]
        idle = sum(threads[each] for each in self._idle)
        share = 1.0 if not others else (others - idle) / others
        alone = candidate.alone.seconds(threads[seat], rows)
        return alone + share * (busy - alone)


def replay(candidate: Candidate, arrivals: Iterable[Arrival], seed: int = 0) -> Replay:
    """An open load: requests come when they come. Runs until the last one is answered."""
    instances = _Instances(candidate, random.Random(seed))
    begun: list[float] = []
    latencies: list[float] = []
    rows_done, last, area = 0, 0.0, 0.0

    def until(moment: float) -> None:
        nonlocal last, area
        while instances.ends and instances.ends[0][0] <= moment:
            now, done = instances.finish()
            last = max(last, now)
            for request in done:
                latencies[request] = now + candidate.overhead_s - begun[request]
                area += latencies[request]

    for at, rows in arrivals:
        until(at)
        last = max(last, at)
        begun.append(at)
        latencies.append(math.inf)
        rows_done += rows
        instances.arrive(len(begun) - 1, rows, at)
    until(math.inf)
    seconds = last - begun[0] if begun else 0.0
    return Replay(
        latencies=tuple(latencies),
        rows=rows_done,
        seconds=seconds,
        in_system=area / seconds if seconds else 0.0,
    )


def replay_closed(
    candidate: Candidate, clients: int, requests: int, *, rows: int = 1, think_s: float = 0.0,
    seed: int = 0,
) -> Replay:  # fmt: skip
    """A closed load: each client sends its next request ``think_s`` after an answer."""
    instances = _Instances(candidate, random.Random(seed))
    due: list[float] = [0.0] * clients
    begun: list[float] = []
    latencies: list[float] = []
    last = 0.0
    while len(latencies) < requests or instances.ends:
        if due and len(begun) < requests and (not instances.ends or due[0] <= instances.ends[0][0]):
            at = heapq.heappop(due)
            begun.append(at)
            latencies.append(math.inf)
            instances.arrive(len(begun) - 1, rows, at)
            continue
        if not instances.ends:
            break
        now, done = instances.finish()
        last = max(last, now)
        for request in done:
            latencies[request] = now + candidate.overhead_s - begun[request]
            heapq.heappush(due, now + candidate.overhead_s + think_s)
    return Replay(
        latencies=tuple(latencies),
        rows=rows * len(latencies),
        seconds=last,
        in_system=sum(latencies) / last if last else 0.0,
    )


def arrivals_of(times: Sequence[float], rows: int = 1) -> list[Arrival]:
    """Requests of so many rows at these times."""
    return [(at, rows) for at in times]
