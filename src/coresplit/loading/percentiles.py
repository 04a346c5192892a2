"""Percentiles of latencies, and their distribution as an HDR histogram in microseconds."""

import math
from collections import Counter
from collections.abc import Sequence

from coresplit.records.load import LoadLatency

_MOST_US = 24 * 3600 * 1_000_000
_DIGITS = 3
_TICKS = 5
"""Points of the distribution for each halving of the remaining tail."""


def rank(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the sorted values that at least ``share`` of them do not exceed."""
    return ordered[max(math.ceil(share * len(ordered) - 1e-9), 1) - 1]


def beyond(count: int, share: float) -> bool:
    """True if at least one of ``count`` values lies beyond ``share`` of them."""
    return count * (1 - share) >= 1 - 1e-9


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the percentile of sorted values, or None if there are too few to have one beyond."""
    return rank(ordered, share) if beyond(len(ordered), share) else None


def latency_of(
    latencies: Sequence[float],
) -> tuple[LoadLatency | None, tuple[tuple[float, float], ...], str]:
    """Return percentiles, distribution and encoded histogram; None and empty for no latencies."""
    if not latencies:
        return None, (), ""
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 (an extra)

    histogram = HdrHistogram(1, _MOST_US, _DIGITS)
    # each call costs 7 us, and there are few distinct values
    for value, count in Counter(min(max(round(s * 1e6), 1), _MOST_US) for s in latencies).items():
        histogram.record_value(value, count)

    # the histogram's own percentiles are one rank too low for half of all counts
    count, ordered = len(latencies), sorted(latencies)
    found = LoadLatency(
        count=count,
        mean=math.fsum(latencies) / count,
        p50=rank(ordered, 0.5),
        p90=percentile(ordered, 0.9),
        p99=percentile(ordered, 0.99),
        p999=percentile(ordered, 0.999),
        max=ordered[-1],
    )
    points = tuple(
        (point.percentile / 100, point.value_iterated_to * 1e-6)
        for point in histogram.get_percentile_iterator(_TICKS)
    )
    encoded: bytes = histogram.encode()
    return found, points, encoded.decode("ascii")
