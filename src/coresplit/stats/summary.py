"""What samples say: median, its interval, and the percentiles they can support."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.records import Measurement

MIN_INTERVAL_SAMPLES = 6
"""Fewest samples whose range is a 95 % interval of the median: 2 * 0.5**6 <= 0.05 < 2 * 0.5**5."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One drawable latency in seconds, with the interval around it and what the interval is.

    ``interval`` says what ``low`` and ``high`` are: a 95 % confidence interval of the median, the
    range of too few samples, the expected range of an estimate, or the published minimum and
    maximum around a mean.
    """

    latency: float
    low: float
    high: float
    interval: Literal["median 95 %", "range", "estimate", "published range"]
    samples: int


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Distribution-free confidence interval of the median, from order statistics.

    The k-th smallest and k-th largest sample enclose the median with probability
    1 - 2 * P(Binomial(n, 1/2) < k) (David & Nagaraja, Order Statistics, 2003, section 7.1);
    the largest such k is taken. With too few samples for the confidence, the full range is
    returned: see ``MIN_INTERVAL_SAMPLES``. Raises ValueError for no samples.
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


def relative_halfwidth(samples: Sequence[float]) -> float:
    """Half the width of the median's 95 % interval over the median; inf for under 6 samples."""
    if len(samples) < MIN_INTERVAL_SAMPLES:
        return math.inf
    low, high = median_interval(samples)
    return (high - low) / 2 / statistics.median(samples)


def samples_for_percentile(share: float, confidence: float = 0.99) -> int:
    """Fewest samples from which the second-largest bounds a percentile with this confidence.

    The smallest n with P(Binomial(n, 1 - share) <= 1) <= 1 - confidence; 662 for the 99th
    percentile at 99 %, as MLPerf Inference (Reddi et al., ISCA 2020, section III-D) requires.
    """
    count = 1
    while share**count + count * (1 - share) * share ** (count - 1) > 1 - confidence:
        count += 1
    return count


def percentile(samples: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile, or None where the sample count cannot support it."""
    if len(samples) < samples_for_percentile(share):
        return None
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


def point_of(measurement: Measurement) -> Point | None:
    """The drawable value of a measurement; None where nothing may be drawn as data."""
    if measurement.estimate is not None:
        estimate = measurement.estimate
        return Point(
            latency=estimate.latency,
            low=estimate.low,
            high=estimate.high,
            interval="estimate",
            samples=0,
        )
    if measurement.published is not None:
        published = measurement.published
        return Point(
            latency=published.mean,
            low=published.minimum,
            high=published.maximum,
            interval="published range",
            samples=0,
        )
    if not measurement.samples or measurement.verdict in ("invalid", "failed", "skipped"):
        return None
    low, high = median_interval(measurement.samples)
    count = len(measurement.samples)
    return Point(
        latency=statistics.median(measurement.samples),
        low=low,
        high=high,
        interval="range" if count < MIN_INTERVAL_SAMPLES else "median 95 %",
        samples=count,
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
