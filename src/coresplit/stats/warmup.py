"""Where warm-up ends in a sequence of forwards."""

import statistics
from collections.abc import Sequence


def warmup_length(durations: Sequence[float], tolerance: float) -> int:
    """How many leading forwards are warm-up: those above the median of what follows them.

    A forward belongs to the warm-up while it exceeds the median of all later ones by more than
    ``tolerance`` (relative). At most half of the forwards are given up, so that a drift is not
    mistaken for warm-up; a single forward is never warm-up, as there is nothing to tell it by.
    """
    length = 0
    while length < len(durations) // 2:
        rest = statistics.median(durations[length + 1 :])
        if durations[length] <= rest * (1 + tolerance):
            break
        length += 1
    return length
