"""How many forwards at the start of a visit are warm-up: chosen once, then fixed; pure."""

import statistics
from collections.abc import Sequence

MOST_CALIBRATING = 6
CALIBRATING_S = 1.0
UNKNOWN_CALIBRATING = 3
COSTLY_SHARE = 1 / 100
TOLERANCE = 0.02


def calibrating_forwards(latency_s: float | None, budget_s: float) -> int:
    """How many forwards a cell is calibrated with, which are never used as data.

    As many as fit in a second, from one to six. None where a forward takes over a hundredth of
    the budget: the instance is then warm from smaller batches, and a second forward would cost as
    much as the measurement.
    """
    if latency_s is None:
        return UNKNOWN_CALIBRATING
    if latency_s > COSTLY_SHARE * budget_s:
        return 0
    return max(1, min(MOST_CALIBRATING, int(CALIBRATING_S / latency_s)))


def warmup_length(calibration: Sequence[float]) -> int:
    """How many leading forwards of every later visit are warm-up, from the calibrating ones.

    A forward belongs to the warm-up while it exceeds the median of all later ones by over 2 %; at
    least one does, at most half of what was calibrated with. None without a calibration.
    """
    length = 0
    while length < len(calibration) // 2:
        rest = statistics.median(calibration[length + 1 :])
        if calibration[length] <= rest * (1 + TOLERANCE):
            break
        length += 1
    return min(len(calibration), max(1, length))
