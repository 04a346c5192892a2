"""How many rows each instance takes next; pure.

Each row goes to the instance that would finish it first. This minimizes the makespan if latency
does not fall as the batch grows: list scheduling of equal jobs on machines of different speeds
(Horowitz & Sahni, Journal of the ACM 23(2), 1976).
"""

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence

import msgspec

OUTLIER = 4.0
"""An observed latency counts as at most this many times the expected one."""


class Lane(msgspec.Struct, frozen=True):
    """One instance: seconds until it is idle, threads, and the most rows it takes in one batch."""

    busy_s: float
    threads: int
    most: int


class Latencies:
    """Latency in seconds by threads and batch: from a profile, then updated by observation.

    Linear between known batches, proportional to the batch outside them.
    """

    def __init__(self, known: Mapping[tuple[int, int], float], weight: float = 0.1) -> None:
        self._weight = weight
        self._by_threads: dict[int, dict[int, float]] = {}
        for (threads, batch), seconds in known.items():
            self._by_threads.setdefault(threads, {})[batch] = seconds
        self._batches = {threads: sorted(each) for threads, each in self._by_threads.items()}

    @property
    def known(self) -> dict[tuple[int, int], float]:
        """Seconds by (threads, batch)."""
        return {
            (threads, batch): seconds
            for threads, each in self._by_threads.items()
            for batch, seconds in each.items()
        }

    def largest(self, threads: int) -> int:
        """The largest known batch for this many threads; 0 for none."""
        batches = self._batches.get(threads)
        return batches[-1] if batches else 0

    def seconds(self, threads: int, batch: int) -> float:
        """Return the expected latency; 0 if no batch is known for this many threads."""
        known = self._by_threads.get(threads)
        if not known or batch == 0:
            return 0.0
        if batch in known:
            return known[batch]
        batches = self._batches[threads]
        place = bisect_left(batches, batch)
        if place == 0:
            return known[batches[0]] * batch / batches[0]
        below = batches[place - 1]
        if place == len(batches):
            return known[below] * batch / below
        above = batches[place]
        share = (batch - below) / (above - below)
        return known[below] + share * (known[above] - known[below])

    def scaled(self, factor: float) -> "Latencies":
        """Return a copy with all latencies multiplied by ``factor``."""
        scaled = {cell: factor * seconds for cell, seconds in self.known.items()}
        return Latencies(scaled, self._weight)

    def observe(self, threads: int, batch: int, seconds: float) -> None:
        """Add an observed latency to the exponential average of its threads and batch."""
        known = self._by_threads.setdefault(threads, {})
        before = known.get(batch)
        if before is None:
            insort(self._batches.setdefault(threads, []), batch)
            known[batch] = seconds
            return
        if before:
            seconds = min(seconds, OUTLIER * before)
        known[batch] = before + self._weight * (seconds - before)


def divide(rows: int, lanes: Sequence[Lane], latencies: Latencies) -> list[int]:
    """Return how many of ``rows`` each lane takes, at most ``lane.most`` each; the rest wait.

    If several lanes would finish at the same time, the first takes the row.
    """
    taken = [0] * len(lanes)
    ends = [
        (lane.busy_s + latencies.seconds(lane.threads, 1), place)
        for place, lane in enumerate(lanes)
        if lane.most > 0
    ]
    heapq.heapify(ends)
    for _ in range(rows):
        if not ends:
            break
        _, place = heapq.heappop(ends)
        taken[place] += 1
        lane = lanes[place]
        if taken[place] < lane.most:
            after = lane.busy_s + latencies.seconds(lane.threads, taken[place] + 1)
            heapq.heappush(ends, (after, place))
    return taken


def most_within(latencies: Latencies, threads: int, most: int, limit_s: float) -> int:
    """Return the largest batch up to ``most`` with latency within ``limit_s``; at least 1."""
    if math.isinf(limit_s):
        return most
    fitting = (
        batch for batch in range(most, 1, -1) if latencies.seconds(threads, batch) <= limit_s
    )
    return next(fitting, 1)
