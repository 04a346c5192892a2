"""Whether two things differ: the only place that decides this; pure.

A difference is named only if a t test of the log ratio rejects that there is none, with the
false discovery rate over its family held at 1 % (Benjamini & Hochberg, "Controlling the false
discovery rate", Journal of the Royal Statistical Society B 57(1), 1995). If nothing differs at
all, 1 % is the chance of naming any difference. Equivalence needs a test of its own: both
one-sided tests must reject that the ratio lies outside the margin (Schuirmann, Journal of
Pharmacokinetics and Biopharmaceutics 15(6), 1987). If neither holds, it is too close to call.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.stats.student import quantile, two_sided
from coresplit.stats.variance import (
    CONFIDENCE,
    Location,
    Variance,
    VisitValue,
    block_pairs,
    bounds_of,
    concentration,
    locate,
    median_variance,
    pair_squares,
    sum_of_squares,
)

LEVEL = 0.01
MARGIN = 0.03
"""Two latencies that differ by less than this are equivalent in practice."""

Relation = Literal["faster", "slower", "equivalent", "unclear"]
"""How the first of two compares with the second; ``unclear`` is too close to call."""


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as fast one thing is as another: a log ratio with its standard error.

    ``pairs`` is the number of pairs of side-by-side visits that it is based on; 0 for none.
    """

    log: float
    error: float
    df: float
    pairs: int = 0

    @property
    def ratio(self) -> float:
        """How many times as fast the first is."""
        return math.exp(self.log)

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % confidence interval of the ratio."""
        return bounds_of(self.log, self.error, self.df)

    @property
    def p_different(self) -> float:
        """Probability of so large a log ratio, either way, if there were no difference."""
        return _tail(self.log, self.error, self.df)

    @property
    def p_equivalent(self) -> float:
        """The larger of the probabilities that the ratio lies beyond either end of the margin."""
        gap = math.log1p(MARGIN) - abs(self.log)
        one_sided = _tail(gap, self.error, self.df) / 2
        return one_sided if gap > 0 else 1 - one_sided

    def inverse(self) -> "Contrast":
        """The contrast of the second over the first."""
        return Contrast(log=-self.log, error=self.error, df=self.df, pairs=self.pairs)


def contrast(
    first: Sequence[VisitValue],
    second: Sequence[VisitValue],
    variance: Variance,
    per_input: float = 1.0,
) -> Contrast:
    """How many times as fast ``first`` is, from the visits of both.

    Visits of the same block are compared with each other, so that what both share, such as a drift
    of the machine, cancels. If too few have a partner, all visits of both are used. The expected
    errors decide between the two methods, never the values. ``per_input`` is the first batch over
    the second if throughputs are compared.
    """
    pairs = block_pairs(first, second)
    if pairs and _expected_paired(pairs, variance) <= _expected_apart(first, second, variance):
        found = _paired(pairs, variance)
    else:
        found = between(locate(first, variance), locate(second, variance))
    return msgspec.structs.replace(found, log=found.log + math.log(per_input))


def between(first: Location, second: Location) -> Contrast:
    """How many times as fast the first is, from two locations that share nothing.

    Degrees of freedom by Welch and Satterthwaite (Welch, Biometrika 34, 1947).
    """
    own, other = first.error**2, second.error**2
    spread = own**2 / first.df + other**2 / second.df
    df = (own + other) ** 2 / spread if spread else min(first.df, second.df)
    return Contrast(log=second.log - first.log, error=math.sqrt(own + other), df=df)


def of_rounds(logs: Sequence[float]) -> Contrast:
    """How many times as fast the first of two is, from log ratios of side-by-side rounds.

    The error comes from the spread of the rounds alone; there must be two or more.
    """
    count = len(logs)
    spread = sum_of_squares(logs) / (count - 1)
    return Contrast(
        log=statistics.median(logs),
        error=math.sqrt(median_variance(count) * spread),
        df=count - 1,
        pairs=count,
    )


def decide(contrasts: Sequence[Contrast], level: float = LEVEL) -> list[Relation]:
    """Decide each contrast of one family, with the false discovery rate held at ``level``."""
    differ = benjamini_hochberg([each.p_different for each in contrasts], level)
    alike = benjamini_hochberg([each.p_equivalent for each in contrasts], level)
    found: list[Relation] = []
    for each, different, equivalent in zip(contrasts, differ, alike, strict=True):
        if different:
            found.append("faster" if each.log > 0 else "slower")
        else:
            found.append("equivalent" if equivalent else "unclear")
    return found


def benjamini_hochberg(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which hypotheses are rejected at a false discovery rate of ``level``."""
    ordered = sorted(p_values)
    count = len(ordered)
    passed = [p for rank, p in enumerate(ordered, start=1) if p <= level * rank / count]
    limit = passed[-1] if passed else -1.0
    return [p <= limit for p in p_values]


def _paired(pairs: Sequence[tuple[VisitValue, VisitValue]], variance: Variance) -> Contrast:
    differences = sorted(other.log - one.log for one, other in pairs)
    count = len(differences)
    middle = (differences[(count - 1) // 2] + differences[count // 2]) / 2
    own = count - 1
    factor = variance.paired.moderated(pair_squares(pairs, variance) if own else 0.0, own)
    error2 = median_variance(count) * factor * _unpaired(pairs, variance)
    error2 += variance.process**2 * sum(concentration(side) for side in zip(*pairs, strict=True))
    return Contrast(
        log=middle, error=math.sqrt(error2), df=variance.paired.degrees(own), pairs=count
    )


def _unpaired(pairs: Sequence[tuple[VisitValue, VisitValue]], variance: Variance) -> float:
    """Mean variance of the difference of two visits that share nothing."""
    return sum(
        variance.of_visit(one.forwards) + variance.of_visit(other.forwards) for one, other in pairs
    ) / len(pairs)


def _expected_paired(pairs: Sequence[tuple[VisitValue, VisitValue]], variance: Variance) -> float:
    factor = variance.paired.factor * _heaviness(variance.paired.df)
    return median_variance(len(pairs)) * factor * _unpaired(pairs, variance)


def _expected_apart(
    first: Sequence[VisitValue], second: Sequence[VisitValue], variance: Variance
) -> float:
    factor = variance.alone.factor * _heaviness(variance.alone.df)
    return factor * sum(
        median_variance(len(values))
        * sum(variance.of_visit(value.forwards) for value in values)
        / len(values)
        for values in (first, second)
    )


def _heaviness(df: float) -> float:
    """How much wider an interval t gives than the normal distribution, squared."""
    return (quantile(CONFIDENCE, df) / quantile(CONFIDENCE, math.inf)) ** 2


def _tail(log: float, error: float, df: float) -> float:
    if error <= 0:
        return float(log == 0)
    return two_sided(abs(log) / error, df)
