"""How measured latencies vary, and the resulting interval of a cell's latency; pure.

The model is log latency = cell + process + visit + forward. The visit is the unit of replication:
its value is the median of its forwards, which is robust to heavy tails, and the value of a cell is
the median of its visits. The variance of a visit of k forwards is

    between^2 + c(k) * within^2,    c(k) the variance of the median of k standard normals.

``between`` and ``within`` are estimated over the whole run (``fitting``), so even a cell of a
single forward has a valid interval. A cell that clearly varies more or less than the others moves
toward its own variance, as far as its visits show it: the moderated variance of Smyth, "Linear
models and empirical Bayes methods for assessing differential expression", Statistical Applications
in Genetics and Molecular Biology 3(1), 2004, section 4. The more cells differ from each other, the
fewer degrees of freedom t has.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from coresplit.records import Measurement
from coresplit.stats.student import quantile

CONFIDENCE = 0.95
ASSUMED_SD, ASSUMED_DF = 0.10, 3.0
"""Used if a run has too few visits to estimate its own; such a run shows hardly any difference."""
PUBLISHED_SD, PUBLISHED_DF = 0.025, 10.0
"""Used for imported tables, which do not state how often a cell was measured."""
SMALLEST_SD = 1e-7
FEWEST_SHELTERED = 3

_MEDIAN_VARIANCE = (1.0, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104)


class VisitValue(msgspec.Struct, frozen=True, kw_only=True):
    """The log of the median of a visit (in seconds), and its number of forwards."""

    log: float
    forwards: int
    block: int | None = None
    process: int = 0


class Prior(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a variance before a cell's own visits: a factor, and its weight in df.

    ``total`` is the degrees of freedom of all the data that it was fitted to.
    """

    factor: float = 1.0
    df: float = ASSUMED_DF
    total: float = math.inf

    def moderated(self, squares: float, df: float) -> float:
        """The variance factor of a cell with this sum of squares over ``df`` of its own."""
        return (self.df * self.factor + squares) / (self.df + df)

    def degrees(self, own: float) -> float:
        """Degrees of freedom of a moderated variance: at most ``total``, at least the prior's."""
        return max(self.df, min(self.df + own, self.total))


class Variance(msgspec.Struct, frozen=True, kw_only=True):
    """Standard deviations of log latency in a run: between visits, forwards and processes.

    ``single`` replaces ``within`` if larger and a visit has one or two forwards, whose median does
    not protect from heavy tails: a forward lies within 1.96 times ``single`` of the others of its
    visit, 95 times in 100.
    ``alone`` is the prior of a visit's variance, ``paired`` that of the difference of two visits
    of one block; both are in units of what the first three predict. ``known`` is false if they
    were assumed, ``df`` is the degrees of freedom that they were estimated from.
    """

    between: float
    within: float
    single: float = 0.0
    process: float = 0.0
    alone: Prior = Prior()
    paired: Prior = Prior()
    known: bool = True
    df: float = 0.0

    def of_visit(self, forwards: int) -> float:
        """Variance of the log median of a visit with this number of forwards."""
        within = self.within if forwards >= FEWEST_SHELTERED else max(self.within, self.single)
        return self.between**2 + median_variance(forwards) * within**2


ASSUMED = Variance(between=ASSUMED_SD, within=ASSUMED_SD, known=False)
PUBLISHED = Variance(
    between=PUBLISHED_SD,
    within=0.0,
    alone=Prior(df=PUBLISHED_DF),
    paired=Prior(df=PUBLISHED_DF),
    known=False,
)


def bounds_of(log: float, error: float, df: float) -> tuple[float, float]:
    """The 95 % interval around the exponential of ``log``, at most a factor of 1000 either way."""
    reach = min(error * quantile(CONFIDENCE, df), math.log(1000))
    return math.exp(log - reach), math.exp(log + reach)


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cell's log latency lies: the value, its standard error, and the df of its t."""

    log: float
    error: float
    df: float

    @property
    def value(self) -> float:
        """The latency in seconds."""
        return math.exp(self.log)

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % confidence interval in seconds."""
        return bounds_of(self.log, self.error, self.df)

    @property
    def halfwidth(self) -> float:
        """Half the width of the interval over the value, on the log scale."""
        return self.error * quantile(CONFIDENCE, self.df)


def median_variance(count: int) -> float:
    """Variance of the median of ``count`` standard normals; its limit is pi / (2 count).

    Up to seven by numerical integration over order statistics, beyond that by a correction of the
    limit that is accurate to 0.5 %.
    """
    if count <= len(_MEDIAN_VARIANCE):
        return _MEDIAN_VARIANCE[count - 1]
    return math.pi / (2 * (count + (0.45 if count % 2 else 1.36)))


def visit_value(samples: Sequence[float]) -> VisitValue:
    """The value of a visit, given only its samples."""
    return VisitValue(log=_log_median(samples), forwards=len(samples))


def visit_values(measurement: Measurement) -> tuple[VisitValue, ...]:
    """The value of every visit of a measurement, in order; empty if its verdict discards them."""
    if measurement.verdict not in ("measured", "light", "unstable"):
        return ()
    parts = measurement.by_visit
    if not measurement.visits:
        return tuple(map(visit_value, parts))
    return tuple(
        VisitValue(
            log=_log_median(part), forwards=len(part), block=visit.block, process=visit.process
        )
        for part, visit in zip(parts, measurement.visits, strict=True)
    )


def locate(values: Sequence[VisitValue], variance: Variance) -> Location:
    """The median of the visit medians; its standard error uses the run and its own spread.

    Raises StatisticsError for no visits.
    """
    log = statistics.median(value.log for value in values)
    expected = [variance.of_visit(value.forwards) for value in values]
    squares = sum_of_squares([value.log for value in values], expected)
    own = len(values) - 1
    factor = variance.alone.moderated(squares, own)
    error2 = median_variance(len(values)) * factor * statistics.fmean(expected)
    error2 += variance.process**2 * concentration(values)
    return Location(log=log, error=math.sqrt(error2), df=variance.alone.degrees(own))


def concentration(values: Sequence[VisitValue]) -> float:
    """Sum of the squared shares of the processes: 1 if all visits ran in one process."""
    counts: dict[int, int] = defaultdict(int)
    for value in values:
        counts[value.process] += 1
    return sum((count / len(values)) ** 2 for count in counts.values())


def block_pairs(
    first: Sequence[VisitValue], second: Sequence[VisitValue]
) -> list[tuple[VisitValue, VisitValue]]:
    """The visits of two cells that were made in the same block, side by side."""
    of_second = {value.block: value for value in second if value.block is not None}
    return [(value, of_second[value.block]) for value in first if value.block in of_second]


def pair_squares(pairs: Sequence[tuple[VisitValue, VisitValue]], variance: Variance) -> float:
    """Sum of squares of the differences of pairs, in units of the variance of unpaired visits."""
    return sum_of_squares(
        [one.log - other.log for one, other in pairs],
        [variance.of_visit(one.forwards) + variance.of_visit(o.forwards) for one, o in pairs],
    )


def sum_of_squares(values: Sequence[float], expected: Sequence[float] | None = None) -> float:
    """Sum of squares about the mean, each over its expected variance if given.

    The mean then weighs each value by the inverse of its expected variance.
    """
    if expected is None:
        mean = statistics.fmean(values)
        return math.fsum((value - mean) ** 2 for value in values)
    weights = [1 / max(each, SMALLEST_SD**2) for each in expected]
    total = math.fsum(weights)
    mean = math.fsum(w * value for w, value in zip(weights, values, strict=True)) / total
    return math.fsum(w * (value - mean) ** 2 for w, value in zip(weights, values, strict=True))


def _log_median(samples: Sequence[float]) -> float:
    return math.log(statistics.median(samples))
