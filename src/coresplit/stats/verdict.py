"""When a cell has been measured enough, and what its samples are worth."""

import statistics
from collections.abc import Sequence

from coresplit.records import Verdict
from coresplit.stats.summary import MIN_INTERVAL_SAMPLES, relative_halfwidth
from coresplit.units import format_share

MAX_SAMPLES = 100
MIN_VISITS = 2
STEAL_LIMIT = 0.05
NOISE_WINDOW = 12


def is_precise(samples: Sequence[float], visits: int, precision: float) -> bool:
    """Whether the median's 95 % interval is within ``precision``, over at least two visits.

    One visit cannot show how the cell behaves at another time of the run.
    """
    return visits >= MIN_VISITS and relative_halfwidth(samples) <= precision


def is_hopeless(samples: Sequence[float]) -> bool:
    """Whether more samples would no longer help: the ceiling, or noise that has converged.

    Noise has converged when the interval of the median has not shrunk by a twentieth over the
    last dozen samples although it should have (after nvbench's stdrel criterion).
    """
    if len(samples) >= MAX_SAMPLES:
        return True
    if len(samples) < 3 * NOISE_WINDOW:
        return False
    before = relative_halfwidth(samples[:-NOISE_WINDOW])
    return relative_halfwidth(samples) >= 0.95 * before


def judge(
    samples: Sequence[float], visits: int, precision: float, steal_share: float
) -> tuple[Verdict, str]:
    """Verdict and reason of a cell with at least one clean sample."""
    count = len(samples)
    if count < MIN_INTERVAL_SAMPLES:
        low, high, mid = min(samples), max(samples), statistics.median(samples)
        spread = f", range {format_share((high - low) / mid)}" if count > 1 else ""
        noun = "sample" if count == 1 else "samples"
        return "light", f"{count} {noun}{spread}: too few for a 95 % interval"
    width = format_share(relative_halfwidth(samples))
    if steal_share > STEAL_LIMIT:
        return "unstable", f"the hypervisor took {format_share(steal_share)} of the time"
    if is_precise(samples, visits, precision):
        return "measured", f"within {width} over {count} samples"
    if relative_halfwidth(samples) <= precision:
        return "unstable", f"within {width} over {count} samples, but of one visit only"
    return "unstable", f"within {width} over {count} samples, asked {format_share(precision)}"
