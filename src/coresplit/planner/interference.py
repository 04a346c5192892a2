"""How much slower an instance is when the other cores are busy too.

Measured alone, an instance has the memory bandwidth, the shared cache and the clock of the whole
socket. The slow-down is taken to grow with the share of the cores that others keep busy:
factor = exp(slope * others / cores). It is 1 for an instance that is alone, whatever its threads,
and has one parameter, which a handful of cells measured both ways settles. Forms with terms in
threads, batch and memory traffic carry no further from one model to another
(``benchmarks/interference.py``).
"""

import math
from collections.abc import Iterable

import msgspec


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One cell measured both ways: seconds alone, and with ``others`` cores of ``cores`` busy."""

    alone: float
    together: float
    others: int
    cores: int


class Interference(msgspec.Struct, frozen=True, kw_only=True):
    """The slow-down by busy neighbours; ``pairs`` is how many cells it was fitted to."""

    slope: float
    pairs: int

    def factor(self, others: int, cores: int) -> float:
        """How many times slower an instance is while ``others`` of ``cores`` are busy."""
        return math.exp(self.slope * others / cores)


def calibrate(pairs: Iterable[Pair]) -> Interference | None:
    """Fit the slope by least squares on log ratios; None without a pair that has neighbours.

    It is never negative: busy neighbours do not make an instance faster.
    """
    points = [
        (pair.others / pair.cores, math.log(pair.together / pair.alone))
        for pair in pairs
        if pair.others > 0
    ]
    if not points:
        return None
    slope = sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    return Interference(slope=max(0.0, slope), pairs=len(points))
