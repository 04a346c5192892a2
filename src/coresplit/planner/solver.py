"""The exact split of cores and a batch over instances.

Given latency[t, b], find a multiset of <t, b> with sum(t) <= T and sum(b) = B whose slowest
instance is as fast as possible (Bhardwaj et al., "Auto-reconfiguration for Latency Minimization
in CPU-based DNN Serving", ICML 2025, section 3.3, fills a table over all three).

The objective is a maximum, so it is enough to bisect over the distinct latencies and ask whether
B is reachable with cells no slower than that. For this question only the fewest threads of every
batch size matter, because an instance with more can give some back. Bit sets over the batch sums,
one for each number of cores, answer it. Ties are broken by fewer cores, then fewer instances, then
the lower sum of latencies. All three add up over instances, so one coin-change program over the
batch finds the best.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping

from coresplit.records import Split, split_of

Latencies = Mapping[tuple[int, int], float]
"""Seconds of a cell <threads, batch>."""

_EXACT = 2.0**90
"""Turns a latency above 4 ps into a whole number without loss, so that sums are exact."""


def solve(latencies: Latencies, cores: int, batch: int) -> Split | None:
    """The split of ``batch`` over at most ``cores`` with the lowest latency; None if none exists.

    Ties are broken by fewer cores, then fewer instances, then the lower sum of latencies, then the
    lexicographic order of the sorted <threads, batch>.
    """
    cells = {
        cell: latency
        for cell, latency in latencies.items()
        if cell[0] <= cores and cell[1] <= batch
    }
    levels = sorted(set(cells.values()))
    lowest = bisect_left(
        levels, True, key=lambda level: fewest_cores(cells, level, cores, batch) is not None
    )
    if lowest == len(levels):
        return None
    return _cheapest(cells, levels[lowest], batch)


def fewest_cores(latencies: Latencies, level: float, cores: int, batch: int) -> int | None:
    """Fewest cores, at most ``cores``, on which cells no slower than ``level`` make ``batch``."""
    sizes = [(threads, size) for size, threads in _fewest_threads(latencies, level).items()]
    wanted, mask = 1 << batch, (2 << batch) - 1
    reached = [1]
    for used in range(1, cores + 1):
        sums = 0
        for threads, size in sizes:
            if threads <= used:
                sums |= reached[used - threads] << size
        if sums & wanted:
            return used
        reached.append(sums & mask)
    return None


def slowest(latencies: Latencies, split: Split) -> float:
    """Latency of a split in seconds: that of its slowest instance."""
    return max(latencies[cell] for cell in split.cells)


def largest_throughput(latencies: Latencies, cores: int, limit: float) -> Split | None:
    """The split with the highest batch over latency that takes at most ``limit`` seconds.

    Considers all batches that ``cores`` can hold at once; None if no cell is that fast. Latencies
    are tried in descending order of an upper bound on throughput, so that most can be skipped.
    """
    bounds = _most_throughput(latencies, cores, limit)
    best: tuple[float, float, int] | None = None
    for level in sorted(bounds, key=lambda each: -bounds[each]):
        if best is not None and bounds[level] < best[0]:
            break
        batch = largest_batch(latencies, cores, level)
        found = (batch / level, -level, batch)
        if batch and (best is None or found > best):
            best = found
    return None if best is None else solve(latencies, cores, best[2])


def _most_throughput(latencies: Latencies, cores: int, limit: float) -> dict[float, float]:
    """For every latency within ``limit``, an upper bound on throughput with cells no slower.

    No instance takes more inputs per thread than the best of these cells.
    """
    bounds: dict[float, float] = {}
    most = 0
    for (threads, size), level in sorted(latencies.items(), key=lambda item: item[1]):
        if level <= limit:
            most = max(most, cores * size // threads)
            bounds[level] = most / level
    return bounds


def largest_batch(latencies: Latencies, cores: int, level: float = math.inf) -> int:
    """The most inputs that ``cores`` can take at once in cells no slower than ``level``."""
    sizes = [(threads, size) for size, threads in _fewest_threads(latencies, level).items()]
    largest = [0] * (cores + 1)
    for used in range(1, cores + 1):
        fitting = (largest[used - threads] + size for threads, size in sizes if threads <= used)
        largest[used] = max(fitting, default=0)
    return largest[cores]


def nearest_batches(latencies: Latencies, cores: int, batch: int) -> tuple[int, ...]:
    """The next smaller and the next larger batch that cells on ``cores`` make up, if any."""
    sizes = [(threads, size) for size, threads in _fewest_threads(latencies, math.inf).items()]
    reached = [1]
    for used in range(1, cores + 1):
        sums = reached[-1]
        for threads, size in sizes:
            if threads <= used:
                sums |= reached[used - threads] << size
        reached.append(sums)
    below = (reached[cores] & ((1 << batch) - 2)).bit_length() - 1
    above = reached[cores] >> (batch + 1)
    larger = batch + 1 + (above & -above).bit_length() - 1
    return tuple(each for each, found in ((below, below > 0), (larger, above)) if found)


def _fewest_threads(latencies: Latencies, level: float) -> dict[int, int]:
    """For every batch size, the fewest threads that are no slower than ``level``."""
    fewest: dict[int, int] = {}
    for (threads, size), latency in latencies.items():
        if latency <= level and threads < fewest.get(size, threads + 1):
            fewest[size] = threads
    return fewest


def _cheapest(latencies: Latencies, level: float, batch: int) -> Split:
    """The split with fewest cores, instances and lowest sum of latencies, all within ``level``.

    On the fewest cores, no instance has more threads than its batch size needs, so every batch
    size has one cell. The three costs are encoded as the digits of one integer.
    """
    radix = 1 << (int(max(latencies.values()) * _EXACT) * batch).bit_length()
    count = radix * (batch + 1)
    coins = sorted(
        (threads, size, threads * count + radix + int(latencies[threads, size] * _EXACT))
        for size, threads in _fewest_threads(latencies, level).items()
    )
    costs: list[int | None] = [0]
    for total in range(1, batch + 1):
        costs.append(
            min(
                (
                    before + cost
                    for _, size, cost in coins
                    if size <= total and (before := costs[total - size]) is not None
                ),
                default=None,
            )
        )
    cells, left = [], batch
    while left:
        # taking the first coin of a cheapest sum each time gives the first sum in order
        threads, size, _ = next(
            coin
            for coin in coins
            if coin[1] <= left
            and (before := costs[left - coin[1]]) is not None
            and before + coin[2] == costs[left]
        )
        cells.append((threads, size))
        left -= size
    return split_of(cells)
