"""Which cells to visit next: a pure function of the cell states and the time left."""

import math
import random
from collections.abc import Callable, Iterable, Sequence

from coresplit.records import Cell
from coresplit.stats.estimate import Curve, curve_of
from coresplit.sweep.cell_state import CellState

COVER_SHARE = 1 / 20
SCOUT_SHARE = 1 / 6
REFINE_SHARE = 1 / 8
NEAR_SHARE = 1 / 10
ASIDE_SHARE = 1 / 8
"""Share of the budget after which first visits are interrupted by a round over cheap cells."""
ASIDE_COST = 1 / 400
MARGIN = 1.15

Expected = Callable[[Cell], float | None]
"""Expected latency of a cell in seconds; None if nothing is known of its curve."""
Near = Callable[[Cell], bool]
"""True if a cell can be visited without changing the instance."""
Place = tuple[int, int, str]
"""Threads, batch and setting; cells that share them are compared with each other."""


class Chooser:
    """Chooses the next block: cells of one place that are visited side by side.

    Cells to be compared are measured close in time, so that a drift of the machine cancels. First
    every cell is visited once, the cheapest place first with a random jitter, because the cost of
    a larger batch is only known from smaller ones. A forward that would take over a twentieth of
    the budget is left out, except on the scout: the curve with the lowest cost per input, which
    continues until a forward takes a sixth, to show the others how the cost per input develops.
    Then the places with a cell short of its precision are visited in rounds shuffled by a seed,
    always with all their cells, because a difference needs both. No forward may take over an
    eighth of the time left, so that a few large cells do not starve many small ones. The remaining
    time goes to the rest.
    """

    def __init__(self, seed: int, budget_s: float | None) -> None:
        self._random = random.Random(seed)
        self._budget = math.inf if budget_s is None else budget_s
        self._jitter: dict[Place, float] = {}
        self._round: list[Cell] = []
        self._aside_until = self._budget * (1 - ASIDE_SHARE)
        self.rounds = 0

    def next(
        self,
        states: Sequence[CellState],
        expected: Expected,
        left_s: float,
        near: Near = lambda cell: True,
    ) -> list[CellState]:
        """The states to visit next, in order; empty if nothing is left that fits in ``left_s``.

        ``near`` cells go first if their phase has any: those of the open instance, if not all
        instances can be open at once and changing between them is expensive. The block is then
        limited to that instance.
        """
        uncovered = [state for state in states if not state.covered]
        return (
            self._aside(states, expected, left_s, near)
            or self._cover(uncovered, expected, left_s, near, self._cover_limits(states))
            or self._refine(states, expected, left_s * REFINE_SHARE, near)
            or self._cover(uncovered, expected, left_s, near, lambda cell: math.inf)
            or self._refine(states, expected, left_s / MARGIN, near)
        )

    def _aside(
        self, states: Sequence[CellState], expected: Expected, left_s: float, near: Near
    ) -> list[CellState]:
        """The next block of an inserted round over cheap cells, if one is due."""
        covering = any(not state.covered for state in states)
        if not covering or math.isinf(self._budget) or left_s > self._aside_until:
            return []
        limit = min(self._budget * ASIDE_COST, left_s / MARGIN)
        block = self._refine(states, expected, limit, near, whole=True)
        if not block or not self._round:
            self._aside_until = left_s - self._budget * ASIDE_SHARE
        return block

    def _cover_limits(self, states: Iterable[CellState]) -> Callable[[Cell], float]:
        scout = scout_of(states)
        return lambda cell: self._budget * (SCOUT_SHARE if curve_of(cell) == scout else COVER_SHARE)

    def _cover(
        self,
        uncovered: Sequence[CellState],
        expected: Expected,
        left_s: float,
        near: Near,
        limit: Callable[[Cell], float],
    ) -> list[CellState]:
        # a near cell goes first only while it is cheap, so that every curve gets its turn
        cheap = left_s * NEAR_SHARE / max(1, len({curve_of(state.cell) for state in uncovered}))
        ranked: list[tuple[tuple[bool, float], CellState]] = []
        started: set[Curve] = set()
        for state in sorted(uncovered, key=lambda state: state.cell.batch):
            cost = expected(state.cell)
            if cost is None:
                # nothing is known of this curve: only its smallest batch may be tried
                if curve_of(state.cell) in started:
                    continue
                cost = 0.0
            started.add(curve_of(state.cell))
            if cost * MARGIN > left_s or cost > limit(state.cell):
                continue
            place = place_of(state.cell)
            jitter = self._jitter.setdefault(place, 1 + self._random.random())
            ranked.append(((cost > cheap or not near(state.cell), cost * jitter), state))
        if not ranked:
            return []
        first = min(ranked, key=lambda each: each[0])[1]
        return self._block(first, [state for _, state in ranked], near)

    def _refine(
        self,
        states: Iterable[CellState],
        expected: Expected,
        limit: float,
        near: Near,
        *,
        whole: bool = False,
    ) -> list[CellState]:
        """The next block of a round over places with an open cell, or over all if ``whole``."""
        covered = [state for state in states if state.samples and state.ended is None]
        fitting = [state for state in covered if (expected(state.cell) or 0.0) <= limit]
        open_places = {place_of(state.cell) for state in fitting if whole or not state.settled}
        wanted = {s.cell: s for s in fitting if place_of(s.cell) in open_places}
        if not wanted:
            return []
        self._round = [cell for cell in self._round if cell in wanted]
        if not self._round:
            self._round = sorted(wanted)
            self._random.shuffle(self._round)
            self.rounds += 1
        first = next(filter(near, self._round), self._round[0])
        block = self._block(wanted[first], [wanted[cell] for cell in self._round], near)
        visited = {state.cell for state in block}
        self._round = [cell for cell in self._round if cell not in visited]
        return block

    def _block(
        self, first: CellState, candidates: Iterable[CellState], near: Near
    ) -> list[CellState]:
        """The candidates in the place of the first one that need no change of instance."""
        place = place_of(first.cell)
        block = [s for s in candidates if place_of(s.cell) == place and near(s.cell)] or [first]
        self._random.shuffle(block)
        return block


def place_of(cell: Cell) -> Place:
    """The place of a cell: it is compared with the others there."""
    return cell.threads, cell.batch, cell.setting


def covers_cheap(states: Iterable[CellState], expected: Expected, limit: float) -> bool:
    """True if every cell with a forward of at most ``limit`` seconds has been visited."""
    unseen = (state.cell for state in states if not state.covered)
    return not any((expected(cell) or 0.0) <= limit for cell in unseen)


def scout_of(states: Iterable[CellState]) -> Curve | None:
    """The curve with the lowest measured cost per input; None if none was measured yet."""
    best: tuple[float, Curve] | None = None
    for state in states:
        if state.samples:
            cost = min(state.samples) / state.cell.batch
            if best is None or cost < best[0]:
                best = (cost, curve_of(state.cell))
    return best[1] if best else None
