"""How to sample a cell: warm-up, visits, forwards per visit, and the verdict; pure."""

import math
import statistics
from collections.abc import Sequence

import msgspec

from coresplit.format import format_share
from coresplit.records import Measurement, Run, Verdict
from coresplit.stats.contention import disturbed
from coresplit.stats.fitting import variance_of
from coresplit.stats.variance import Location, Variance, VisitValue, locate, visit_values

FEWEST_VISITS = 3
"""Fewer do not show how a cell behaves at other times of the run: such a cell is ``light``."""
MOST_VISITS = 40
HOPELESS_VISITS = 10
STEAL_LIMIT = 0.05
FEWEST_FORWARDS, MOST_FORWARDS = 3, 21
MOST_CALIBRATING = 6
CALIBRATING_S = 1.0
UNKNOWN_CALIBRATING = 3
COSTLY_SHARE = 1 / 100
TOLERANCE = 0.02


def calibrating_forwards(latency_s: float | None, budget_s: float) -> int:
    """How many forwards a cell is calibrated with; they are never used as data.

    As many as fit in a second, from one to six; three if the latency is unknown. Zero if a forward
    takes over a hundredth of the budget: smaller batches have warmed up the instance, and another
    forward would cost as much as the measurement.
    """
    if latency_s is None:
        return UNKNOWN_CALIBRATING
    if latency_s > COSTLY_SHARE * budget_s:
        return 0
    return max(1, min(MOST_CALIBRATING, int(CALIBRATING_S / latency_s)))


def warmup_length(calibration: Sequence[float]) -> int:
    """How many leading forwards of every later visit are warm-up, from the calibrating ones.

    Forwards are warm-up while they exceed the median of all later ones by over 2 %: at least one,
    at most half of the calibrating forwards. Zero without a calibration.
    """
    length = 0
    while length < len(calibration) // 2:
        rest = statistics.median(calibration[length + 1 :])
        if calibration[length] <= rest * (1 + TOLERANCE):
            break
        length += 1
    return min(len(calibration), max(1, length))


def is_precise(values: Sequence[VisitValue], variance: Variance, precision: float) -> bool:
    """True if the 95 % interval of at least three visits is within ``precision`` (relative)."""
    if len(values) < FEWEST_VISITS:
        return False
    return locate(values, variance).halfwidth <= math.log1p(precision)


def is_hopeless(values: Sequence[VisitValue], variance: Variance, precision: float) -> bool:
    """True if more visits would not reach the requested precision.

    That is after forty visits, or after ten if the interval, which shrinks with the square root of
    their number, would need more than forty.
    """
    if len(values) >= MOST_VISITS:
        return True
    if len(values) < HOPELESS_VISITS:
        return False
    return len(values) + visits_wanted(values, variance, precision) > MOST_VISITS


def visits_wanted(values: Sequence[VisitValue], variance: Variance, precision: float) -> int:
    """How many more visits the interval is likely to need to be within ``precision``."""
    missing = max(0, FEWEST_VISITS - len(values))
    if not values or not variance.known:
        return missing
    ratio = locate(values, variance).halfwidth / math.log1p(precision)
    if ratio <= 1:
        return missing
    return max(missing, math.ceil(min(len(values) * (ratio**2 - 1), 10.0 * MOST_VISITS)), 1)


def forwards_wanted(variance: Variance, latency_s: float, overhead_s: float) -> int:
    """How many forwards per visit reach a given precision at the lowest cost; odd, from 3 to 21.

    Minimizes cost times variance of a visit that takes ``overhead_s`` plus ``latency_s`` per
    forward (two-stage sampling: Cochran, Sampling Techniques, 1977, section 10.6).
    """

    def cost(count: int) -> float:
        return (overhead_s + count * latency_s) * variance.of_visit(count)

    return min(range(FEWEST_FORWARDS, MOST_FORWARDS + 1, 2), key=cost)


def judge(
    values: Sequence[VisitValue],
    variance: Variance,
    precision: float,
    steal_share: float,
    contention: str | None = None,
) -> tuple[Verdict, str]:
    """Verdict and reason of a cell with at least one visit; ``precision`` is relative.

    ``contention`` says what disturbed the visits, if all of them were disturbed.
    """
    if contention is not None:
        visits = "its only visit" if len(values) == 1 else f"all {len(values)} visits"
        return "unstable", f"{contention}, {visits} disturbed"
    count, location = len(values), locate(values, variance)
    within = f"within {_width(location)} over {count} {'visit' if count == 1 else 'visits'}"
    if count < FEWEST_VISITS:
        source = "how other cells vary" if variance.known else "an assumed variance"
        return "light", f"{within}, judged by {source}"
    if steal_share > STEAL_LIMIT:
        return "unstable", f"the hypervisor took {format_share(steal_share)} of the time"
    if is_precise(values, variance, precision):
        return "measured", within
    return "unstable", f"{within}, asked {format_share(precision)}"


def judged(run: Run) -> Run:
    """Return the run with verdicts derived from its samples and the variance of the whole run.

    Stored verdicts may be based on fewer samples or come from an older version.
    """
    variance = variance_of(run)
    precision = run.settings.precision
    return msgspec.structs.replace(
        run,
        measurements=tuple(_judged(item, variance, precision) for item in run.measurements),
    )


def steal_share(measurement: Measurement) -> float:
    """Share of the time of a cell's cores that the hypervisor took."""
    evidence = measurement.evidence
    if evidence is None or evidence.wall_s <= 0:
        return 0.0
    return evidence.steal_s / evidence.wall_s / measurement.cell.threads


def _judged(measurement: Measurement, variance: Variance, precision: float) -> Measurement:
    values = visit_values(measurement)
    if not values:
        return measurement
    verdict, reason = judge(
        values, variance, precision, steal_share(measurement), disturbed(measurement)
    )
    return msgspec.structs.replace(measurement, verdict=verdict, reason=reason)


def _width(location: Location) -> str:
    return format_share(math.expm1(min(location.halfwidth, math.log(1000))))
