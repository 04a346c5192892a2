"""How far a later measurement may be from its prediction, from a run's own errors; pure.

The log of the median that a later verification measures differs from the log of the prediction by
the errors of the cells, by the variance of one more visit, by the error of interpolation if a batch
was not measured, and by the error of a slow-down that was fitted to other cells. The last two are
estimated by predicting measured cells from the others.
"""

import math
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from coresplit.stats.variance import Location, Variance

ASSUMED_ERROR, ASSUMED_DF = 0.05, 3.0
"""Assumed error of interpolating or scaling if fewer than three cells can be left out."""
FEWEST_LEFT_OUT = 3
FORWARDS = 3
"""A median over the rounds of a verification varies like a visit of this many forwards."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One source of error: its variance on the log scale and how well that is known."""

    variance: float = 0.0
    df: float = math.inf


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Sources of prediction error besides the errors of the cells; none by default."""

    visit: Part = Part()
    between: Part = Part()
    scaled: Part = Part()


def joined(parts: Collection[Part]) -> Part:
    """The sum of independent errors; df by Welch and Satterthwaite (Biometrika 34, 1947)."""
    total = math.fsum(part.variance for part in parts)
    spread = math.fsum(part.variance**2 / part.df for part in parts)
    return Part(variance=total, df=total**2 / spread if spread else math.inf)


def located(latency: float, parts: Collection[Part]) -> Location:
    """The predicted location of a latency given in seconds, with the joined error of ``parts``."""
    sum_of = joined(parts)
    return Location(log=math.log(latency), error=math.sqrt(sum_of.variance), df=sum_of.df)


def visit_part(variance: Variance) -> Part:
    """The variance of one more visit of a run, in a process of its own."""
    own = variance.alone.factor * variance.of_visit(FORWARDS) + variance.process**2
    return Part(variance=own, df=variance.alone.df)


def part_of(errors: Collection[float]) -> Part:
    """The mean square of observed log errors, or an assumed one if there are too few."""
    if len(errors) < FEWEST_LEFT_OUT:
        return Part(variance=ASSUMED_ERROR**2, df=ASSUMED_DF)
    return Part(variance=statistics.fmean(each**2 for each in errors), df=len(errors))


def straight(ends: tuple[int, int], values: tuple[float, float], batch: int) -> float:
    """The latency of a batch between two others, interpolated linearly."""
    return values[0] + (values[1] - values[0]) * (batch - ends[0]) / (ends[1] - ends[0])


def interpolating_errors(curves: Iterable[Mapping[int, float]]) -> Iterator[float]:
    """Log errors of interpolating each batch from its neighbours; a curve is latency by batch."""
    for curve in curves:
        batches = sorted(curve)
        for below, batch, above in zip(batches, batches[1:], batches[2:], strict=False):
            predicted = straight((below, above), (curve[below], curve[above]), batch)
            yield math.log(curve[batch] / predicted)
