"""Which cell is visited next: a pure function of what is known and the time left."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from coresplit.records import Cell
from coresplit.stats.estimate import Curve, curve_of
from coresplit.sweep.state import CellState

COVER_SHARE = 1 / 20
SCOUT_SHARE = 1 / 6
REFINE_SHARE = 1 / 8
NEAR_SHARE = 1 / 10
MARGIN = 1.15

Expected = Callable[[Cell], float | None]
"""Latency in seconds expected of a cell; None where nothing is known of its curve."""


class Chooser:
    """Chooses the next cell, small ones first, then rounds in an order shuffled by a seed.

    First every cell is visited once, in the order of its expected cost with a random jitter. A
    forward that would take over a twentieth of the budget is left out, except on the scout: the
    curve with the lowest cost per input, which goes on until a forward takes a sixth, to show
    the others how the cost per input develops. Then the cells short of their precision are
    visited in shuffled rounds; no forward may take over an eighth of the time left, so that many
    small cells are not starved by a few large ones. What is left over goes to the rest.
    """

    def __init__(self, seed: int, budget_s: float | None) -> None:
        self._random = random.Random(seed)
        self._budget = math.inf if budget_s is None else budget_s
        self._jitter: dict[Cell, float] = {}
        self._round: list[Cell] = []

    def next(
        self,
        states: Sequence[CellState],
        expected: Expected,
        left_s: float,
        near: Callable[[Cell], bool] = lambda cell: True,
    ) -> CellState | None:
        """The state to visit next, or None when nothing is left that fits in ``left_s``.

        Cells that are ``near`` go first where their phase has any: those of the open instance,
        when not all instances can be open at once and changing between them is dear.
        """
        uncovered = [state for state in states if not state.covered]
        unsettled = [state for state in states if state.covered and not state.settled]
        first = partial(self._cover, uncovered, expected, left_s, near)
        return (
            first(self._cover_limits(states))
            or self._refine(unsettled, expected, left_s * REFINE_SHARE, near)
            or first(None)
            or self._refine(unsettled, expected, left_s / MARGIN, near)
        )

    def _cover_limits(self, states: Iterable[CellState]) -> Callable[[Cell], float]:
        scout = scout_of(states)
        return lambda cell: self._budget * (SCOUT_SHARE if curve_of(cell) == scout else COVER_SHARE)

    def _cover(
        self,
        uncovered: Sequence[CellState],
        expected: Expected,
        left_s: float,
        near: Callable[[Cell], bool],
        limit: Callable[[Cell], float] | None,
    ) -> CellState | None:
        # a near cell goes first only while it is cheap, so that every curve gets its turn
        cheap = left_s * NEAR_SHARE / max(1, len({curve_of(state.cell) for state in uncovered}))
        best: tuple[tuple[bool, float], CellState] | None = None
        started: set[Curve] = set()
        for state in sorted(uncovered, key=lambda state: state.cell.batch):
            cost = expected(state.cell)
            if cost is None:
                # nothing is known of this curve: only its smallest batch may be tried
                if curve_of(state.cell) in started:
                    continue
                cost = 0.0
            started.add(curve_of(state.cell))
            if cost * MARGIN > left_s or (limit is not None and cost > limit(state.cell)):
                continue
            jitter = self._jitter.setdefault(state.cell, 1 + self._random.random())
            rank = (cost > cheap or not near(state.cell), cost * jitter)
            if best is None or rank < best[0]:
                best = (rank, state)
        return best[1] if best else None

    def _refine(
        self,
        unsettled: Iterable[CellState],
        expected: Expected,
        limit: float,
        near: Callable[[Cell], bool],
    ) -> CellState | None:
        fitting = {
            state.cell: state for state in unsettled if (expected(state.cell) or 0.0) <= limit
        }
        if not fitting:
            return None
        self._round = [cell for cell in self._round if cell in fitting]
        if not self._round:
            self._round = sorted(fitting)
            self._random.shuffle(self._round)
        cell = next(filter(near, self._round), self._round[0])
        self._round.remove(cell)
        return fitting[cell]


def scout_of(states: Iterable[CellState]) -> Curve | None:
    """The curve with the lowest measured cost per input; None before any is measured."""
    best: tuple[float, Curve] | None = None
    for state in states:
        if state.samples:
            cost = min(state.samples) / state.cell.batch
            if best is None or cost < best[0]:
                best = (cost, curve_of(state.cell))
    return best[1] if best else None
