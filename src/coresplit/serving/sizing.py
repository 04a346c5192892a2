"""The size of the next batch of an instance; pure.

All rows in the queue of an instance wait for its next batch, so a small batch costs less now. A
large batch takes less time per row, so it costs less later. The size with the lowest total waiting
time wins: of rows that wait or arrive while the batch runs, and of rows left over until the queue
is empty (Deb & Serfozo, "Optimal control of batch service queues", Advances in Applied Probability
5, 1973). After the batch the queue is approximated as a fluid, in batches of equal size.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

from coresplit.serving.dividing import Lane, Latencies

BETWEEN_S = 2.5e-4
"""Time between two batches of an instance: the reply, the next command, and copying."""
NEAR = 0.99
"""A batch with this share of the highest throughput is as good as the best."""
ENOUGH = 1.5
"""If this many such batches wait, the next batch has that size, so that the queue empties."""
MOST_AHEAD = 10.0
"""Rows left over wait longer because others arrive; their waiting time grows by at most this."""
OVER_S = 3.0


class Rate:
    """Rows per second that arrive, as an exponential average over ``OVER_S`` seconds."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = 0.0

    def come(self, at: float, rows: int) -> None:
        """Rows arrived."""
        self._rate = self.at(at) + rows / OVER_S
        self._at = at

    def at(self, now: float) -> float:
        """Rows per second."""
        return self._rate * math.exp((self._at - now) / OVER_S)

    def copy(self) -> "Rate":
        """An independent copy."""
        other = Rate()
        other._rate, other._at = self._rate, self._at
        return other


def batches(
    counts: Sequence[int], lanes: Sequence[Lane], latencies: Latencies, waiting: int, rate: float
) -> list[int]:
    """Return how many of the rows that ``divide`` gives each lane it takes next.

    ``waiting`` is the number of all waiting rows, ``rate`` the rows that arrive per second. Each
    lane gets a share of both in proportion to its threads.
    """
    if max(counts) <= 1:
        return list(counts)
    all_threads = sum(lane.threads for lane in lanes)
    found = []
    for count, lane in zip(counts, lanes, strict=True):
        share = lane.threads / all_threads
        own = max(count, round(share * waiting))
        found.append(next_batch(own, count, lane.threads, latencies, share * rate))
    return found


def next_batch(waiting: int, most: int, threads: int, latencies: Latencies, rate: float) -> int:
    """Return how many of the ``waiting`` rows an instance takes next, at most ``most``.

    ``rate`` is the number of rows that arrive per second. An instance takes all it may if the
    latency of a batch that large is not known yet.
    """
    whole = min(waiting, most)
    largest = min(most, latencies.largest(threads))
    if whole <= 1 or largest < whole:
        return whole
    times = {size: latencies.seconds(threads, size) + BETWEEN_S for size in _sizes(largest)}
    peak = max(size / took for size, took in times.items())
    full = next(size for size, took in times.items() if size / took >= NEAR * peak)
    if waiting >= ENOUGH * full:
        return full
    ahead = 1 / max(1 / MOST_AHEAD, 1 - rate / peak)
    best, chosen = math.inf, whole
    for size in (*(each for each in times if each < whole), whole):
        took = times.get(size) or latencies.seconds(threads, size) + BETWEEN_S
        left = waiting - size + rate * took
        lost = took * (waiting + rate * took / 2) + ahead * _drained(left, times)
        if lost <= best:
            best, chosen = lost, size
    return chosen


def _drained(rows: float, times: Mapping[int, float]) -> float:
    """Return the total waiting time of ``rows`` rows in equal batches of the best size."""
    least = math.inf
    for size, took in times.items():
        if size >= rows:
            return min(least, rows * took)
        least = min(least, took * rows * (rows / size + 1) / 2)
    return least


@cache
def _sizes(largest: int) -> Sequence[int]:
    """Return the batches that instances are prepared for: powers of two, and the largest."""
    powers = [1 << power for power in range(largest.bit_length())]
    return powers if powers[-1] == largest else [*powers, largest]
