"""The cell that is visited throughout the sweep to show how the machine varies."""

import math
import time
from collections.abc import Callable, Sequence

from coresplit.errors import InstanceError
from coresplit.instance import Instance
from coresplit.records import AnchorVisit, Cell
from coresplit.stats.contention import Disturbance, disturbance

SAMPLES, WARMUP = 3, 1
TIMEOUT_S = 120.0
VISITS_PER_BUDGET = 15
LONGEST_GAP_S = 90.0
LARGEST_SHARE = 1 / 20
FEWEST_VISITS = 8
"""Too few visits do not show the noise: at least this many fit in a budget."""
RETRIES, RETRY_SHARE = 2, 1 / 4
"""How often a disturbed visit is repeated, each time after this share of the gap."""


class Anchor:
    """Decides when the anchor cell is due again, and visits it.

    The anchor is the first of ``cells`` whose instance works; without any it is never due.
    """

    def __init__(self, cells: Sequence[Cell], budget_s: float | None) -> None:
        self._cells = list(cells)
        share = LONGEST_GAP_S if budget_s is None else budget_s / VISITS_PER_BUDGET
        self._gap = min(LONGEST_GAP_S, share)
        self._longest = math.inf if budget_s is None else budget_s / FEWEST_VISITS
        self._due_at = -math.inf
        self._retries = 0

    def due(self, now: float) -> bool:
        """True if the last visit was at least a gap ago.

        The gap is a fifteenth of the budget, at most 90 s, or the time of twenty visits if that is
        longer; never over an eighth of the budget.
        """
        return bool(self._cells) and now >= self._due_at

    def visit(
        self,
        get: Callable[[Cell], Instance],
        clock: Callable[[], float],
        left_s: float,
        on_disturbed: Callable[[Cell, Disturbance], None] = lambda cell, found: None,
    ) -> AnchorVisit | None:
        """Visit the anchor; None if it was throttled or its instance failed.

        Also None if it was disturbed: it is then due again after a quarter of the gap, up to twice.
        After the first visit the cell stays the anchor, because two cells do not show the noise.
        """
        timeout = min(TIMEOUT_S, max(1.0, left_s))
        begin = clock()
        cell = self._cells[0]
        try:
            timed = get(cell).time_forward_passes(
                cell.batch, SAMPLES, self._gap, timeout, warmup=WARMUP
            )
        except InstanceError:
            del self._cells[0]
            return None
        self._cells = [cell]
        gap = max(self._gap, (clock() - begin) / LARGEST_SHARE)
        self._due_at = clock() + min(gap, self._longest)
        if timed.evidence.throttled_periods > 0:
            return None
        found = disturbance(timed.signs)
        if found is not None:
            on_disturbed(cell, found)
            self._retries = (self._retries + 1) % (RETRIES + 1)
            if self._retries:
                self._due_at = clock() + RETRY_SHARE * gap
            return None
        self._retries = 0
        return AnchorVisit(at=time.time(), cell=cell, samples=timed.durations)
