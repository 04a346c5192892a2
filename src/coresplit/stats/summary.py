"""The value of a cell with its interval."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.records import Interval, Measurement
from coresplit.stats.contention import doubt
from coresplit.stats.student import quantile
from coresplit.stats.variance import (
    CONFIDENCE,
    Location,
    Variance,
    VisitValue,
    locate,
    visit_values,
)

ESTIMATE_DF = 3.0


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One drawable latency in seconds, with the interval around it and what the interval is.

    ``interval`` says what ``low`` and ``high`` are: a 95 % confidence interval of the latency, the
    expected range of an estimate, or the published minimum and maximum around a mean. Tests of
    differences use ``location``.
    """

    latency: float
    low: float
    high: float
    interval: Literal["95 %", "estimate", "published range"]
    samples: int
    visits: int = 0
    location: Location


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Distribution-free confidence interval of the median, from order statistics.

    The k-th smallest and k-th largest sample enclose the median with probability
    1 - 2 * P(Binomial(n, 1/2) < k) (David & Nagaraja, Order Statistics, 2003, section 7.1);
    the largest such k is taken. With too few samples for the confidence, the full range is
    returned. Raises ValueError for no samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    count = len(ordered)
    allowed = (1 - confidence) / 2
    tail = 0.0
    rank = 0
    for k in range(count // 2):
        tail += math.exp(_log_choose(count, k) - count * math.log(2))
        if tail > allowed:
            break
        rank = k
    return ordered[rank], ordered[count - 1 - rank]


def point_of(measurement: Measurement, variance: Variance) -> Point | None:
    """The drawable value of a measurement; None if it has none.

    ``variance`` is that of the run; it determines the interval of a cell with few visits.
    """
    if (estimate := measurement.estimate) is not None:
        return Point(
            latency=estimate.value,
            low=estimate.low,
            high=estimate.high,
            interval="estimate",
            samples=0,
            location=located(estimate),
        )
    if (published := measurement.published) is not None:
        if not (math.isfinite(published.mean) and published.mean > 0):
            return None
        value = VisitValue(log=math.log(published.mean), forwards=1)
        return Point(
            latency=published.mean,
            low=published.minimum,
            high=published.maximum,
            interval="published range",
            samples=0,
            location=locate([value], variance),
        )
    values = visit_values(measurement)
    if not values:
        return None
    location = locate(values, variance)
    if wider := doubt(measurement):
        # all visits were disturbed, so the true latency may be far below the measured one
        middle, reach = location.value, wider + location.halfwidth
        location = located(
            Interval(low=middle * math.exp(-reach), value=middle, high=middle * math.exp(reach))
        )
    low, high = location.bounds
    return Point(
        latency=location.value,
        low=low,
        high=high,
        interval="95 %",
        samples=len(measurement.samples),
        visits=len(values),
        location=location,
    )


def located(estimate: Interval) -> Location:
    """The location whose 95 % interval reaches as far as the farther end of an estimate.

    Its tails are those of t with few degrees of freedom, because it is based on few past errors.
    An estimate without width is taken as exact.
    """
    reach = max(math.log(estimate.value / estimate.low), math.log(estimate.high / estimate.value))
    error = reach / quantile(CONFIDENCE, ESTIMATE_DF)
    return Location(log=math.log(estimate.value), error=error, df=ESTIMATE_DF)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
