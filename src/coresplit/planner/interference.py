"""How much slower an instance is when the other cores are busy too.

Measured alone, an instance has the memory bandwidth, the shared cache and the clock of the whole
socket. The slow-down is assumed to grow with the share of the cores that others keep busy:
factor = exp(slope * others / cores). It is 1 for an instance that is alone, whatever its threads,
and has one parameter, for which a handful of cells measured both ways suffice. Models with terms
in threads, batch and memory traffic transfer no better from one network to another
(``benchmarks/interference.py``).
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One cell measured both ways: seconds alone, and with ``others`` cores of ``cores`` busy."""

    alone: float
    together: float
    others: int
    cores: int


class Interference(msgspec.Struct, frozen=True, kw_only=True):
    """The slow-down by busy neighbours; ``pairs`` is the number of cells it was fitted to."""

    slope: float
    pairs: int

    def factor(self, others: int, cores: int) -> float:
        """The factor by which an instance is slower while ``others`` of ``cores`` are busy."""
        return math.exp(self.slope * others / cores)


def copies_on(cores: int, threads: int) -> int:
    """How many instances of ``threads`` fit on ``cores`` at once."""
    return cores // threads


def neighbours_on(cores: int, threads: int) -> int:
    """Cores that copies of an instance keep busy next to it, or all others if no copy fits.

    Six threads on 16 cores have six busy neighbours: the second copy leaves four cores idle.
    """
    copies = copies_on(cores, threads)
    return (copies - 1) * threads if copies > 1 else max(0, cores - threads)


def calibrate(pairs: Iterable[Pair]) -> Interference | None:
    """Fit the slope by least squares on log ratios; None without a pair that has neighbours.

    The slope is never negative: busy neighbours do not make an instance faster.
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


def scaling_errors(groups: Sequence[Sequence[Pair]]) -> Iterator[float]:
    """Log errors of predicting each packed cell by the slow-down fitted to the other pairs.

    A group holds the pairs of one variant. The fit uses the other pairs of the group, or those of
    the other groups if there are none.
    """
    for index, group in enumerate(groups):
        elsewhere = [pair for other in [*groups[:index], *groups[index + 1 :]] for pair in other]
        for place, pair in enumerate(group):
            fitted = calibrate([*group[:place], *group[place + 1 :]]) or calibrate(elsewhere)
            if fitted is not None and pair.others > 0:
                predicted = pair.alone * fitted.factor(pair.others, pair.cores)
                yield math.log(pair.together / predicted)
