"""The noise floor of a run: how far the same cell strays when nothing but time has passed."""

import math
import statistics
from collections.abc import Sequence
from itertools import combinations

from coresplit.records import AnchorVisit, JournalEntry

MIN_VISITS = 3


def noise_floor(journal: Sequence[JournalEntry]) -> float | None:
    """Relative difference that two medians of one cell stay within, 95 times in 100.

    The 95th percentile of |log ratio| over all pairs of anchor visits, as a relative
    difference. None with fewer than three visits: two cannot tell noise from a drift.
    """
    medians = [
        statistics.median(entry.samples)
        for entry in journal
        if isinstance(entry, AnchorVisit) and entry.samples
    ]
    if len(medians) < MIN_VISITS:
        return None
    gaps = sorted(abs(math.log(a / b)) for a, b in combinations(medians, 2))
    return math.expm1(gaps[math.ceil(0.95 * len(gaps)) - 1])
