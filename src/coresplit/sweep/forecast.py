"""Predict roughly how many cells a budget reaches, before anything is measured; pure."""

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from coresplit.records import Cell
from coresplit.sweep.budget import COMPILE_SHARE, LATEST_SHARE, PREPARE_S, PREPARE_SHARE
from coresplit.sweep.order import Efforts, in_order
from coresplit.sweep.pool import Key, key_of
from coresplit.sweep.schedule import COVER_SHARE

FORWARDS = 2
"""Forwards of a first visit, including its warm-up."""
VISIT_S = 0.1
"""Time of a visit besides its forwards: inputs, a rest, messages."""
BESIDE = 1.3
"""Factor for other work of a sweep: the anchor, rounds over small cells, peaks of the cores."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the ``cells`` a budget reaches, and the budget in seconds that reaches all."""

    cells: int
    reached: int
    whole_s: float


def forecast(
    cells: Iterable[Cell],
    efforts: Efforts,
    latency: Callable[[Cell], float],
    together: int,
    budget_s: float | None,
) -> Forecast:
    """Predict which cells are visited at least once; a reached cell may still get few samples.

    ``latency`` gives the expected seconds of a forward, ``together`` is the number of instances
    that prepare at once, and ``budget_s`` is None for no limit.
    """
    cells = list(cells)
    order = in_order(map(key_of, cells), efforts)
    quick = [each for each in order if not efforts(each[0]).compiles]
    slow = [each for each in order if efforts(each[0]).compiles]
    visits = {cell: VISIT_S + FORWARDS * latency(cell) for cell in cells}
    if budget_s is None:
        return Forecast(cells=len(cells), reached=len(cells), whole_s=math.inf)
    share_s = min(max(PREPARE_SHARE * budget_s, PREPARE_S), LATEST_SHARE * budget_s)
    ready, prepared_s = _fitting(quick, together, share_s)
    more, compiled_s = _fitting(slow, together, COMPILE_SHARE * budget_s)
    if 0 < len(more) < len(slow):
        # the next one uses up the rest of the share without getting ready
        compiled_s = COMPILE_SHARE * budget_s
    ready |= more
    left = budget_s - prepared_s - compiled_s
    reached = 0
    for cell in sorted(cells, key=lambda cell: visits[cell]):
        if key_of(cell) in ready and latency(cell) <= COVER_SHARE * budget_s:
            left -= BESIDE * visits[cell]
            reached += left >= 0
    return Forecast(
        cells=len(cells),
        reached=reached,
        whole_s=max(
            BESIDE * sum(visits.values()) + (_sum(quick) + _sum(slow)) / together,
            _sum(slow) / together / COMPILE_SHARE,
            max((cost for _, cost in slow), default=0.0) / COMPILE_SHARE,
            _sum(quick) / together / PREPARE_SHARE if _sum(quick) / together > PREPARE_S else 0.0,
            max(map(latency, cells), default=0.0) / COVER_SHARE,
        ),
    )


def _fitting(
    costs: Sequence[tuple[Key, float]], together: int, seconds: float
) -> tuple[set[Key], float]:
    """The first instances that are ready within ``seconds``, and how many seconds they take."""
    taken = 0.0
    found: set[Key] = set()
    for key, cost in costs:
        if max(cost, taken + cost / together) > seconds:
            break
        taken += cost / together
        found.add(key)
    return found, taken


def _sum(costs: Sequence[tuple[Key, float]]) -> float:
    return sum(cost for _, cost in costs)
