"""How rows of a run stand to each other, as its claims decide; pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from coresplit.analysis.rows import DOUBT, Row
from coresplit.records import Run
from coresplit.stats.claims import Claims
from coresplit.stats.difference import LEVEL, Contrast, Relation, decide

DIMINISHED = 0.03
"""A further thread that brings less than this share is hardly worth it."""

BASELINE = "none"
"""What other optimizations are compared with, where it was measured."""

FASTER: Relation = "faster"
SLOWER: Relation = "slower"


def baseline_of(run: Run) -> str:
    """What other optimizations of a run are compared with: ``none``, else the first drawn one."""
    drawn = {item.cell.optimization for item in run.measurements if item.verdict in DOUBT}
    order = (BASELINE, *run.settings.optimizations, *sorted(drawn))
    return next((name for name in order if name in drawn), BASELINE)


def relation(first: Row, second: Row, claims: Claims) -> Relation:
    """How the throughput of the first row stands to that of the second."""
    return claims.relation(first.cell, second.cell)


def differs(first: Row, second: Row, claims: Claims) -> bool:
    """Whether the throughputs of two rows are shown to differ, either way."""
    return relation(first, second, claims) in (FASTER, SLOWER)


def gains_differ(first: Contrast, second: Contrast, claims: Claims) -> bool:
    """Whether one gain is shown to be larger than another that shares no cell with it.

    As the two were picked from all there are, it must hold against the number of their pairs.
    """
    apart = Contrast(
        log=first.log - second.log,
        error=math.hypot(first.error, second.error),
        df=min(first.df, second.df),
    )
    return decide([apart], LEVEL / math.comb(len(claims.points), 2))[0] in (FASTER, SLOWER)


def quickest(rows: Iterable[Row]) -> Row:
    """The row of the lowest latency; of equals the one with fewest threads."""
    return min(rows, key=lambda row: (row.point.latency, row.cell.threads, row.cell.batch))


def busiest(rows: Iterable[Row]) -> Row:
    """The row of the highest throughput; of equals the one with fewest threads."""
    return min(rows, key=lambda row: (-row.throughput, row.cell.threads, row.cell.batch))


def by_optimization(rows: Iterable[Row]) -> dict[str, tuple[Row, ...]]:
    """Rows of every optimization, ascending by batch and threads."""
    ordered = sorted(rows, key=lambda row: row.cell)
    return {
        name: tuple(members)
        for name, members in groupby(ordered, key=lambda row: row.cell.optimization)
    }


def knee(rows: Sequence[Row], claims: Claims) -> int | None:
    """Threads beyond which each added thread gains less than 3 %, as far as that is shown.

    The fewest threads t such that for every larger t' the mean gain per added thread,
    (y(t') / y(t)) ** (1 / (t' - t)) - 1, stays under the limit, and for the largest t' the upper
    bound of its 95 % interval does too. None where fewer than two larger counts follow: one step
    shows no trend.
    """
    ordered = sorted(rows, key=lambda row: row.cell.threads)
    for place, row in enumerate(ordered[:-2]):
        later = ordered[place + 1 :]
        means = [_per_thread(other.throughput / row.throughput, row, other) for other in later]
        last = claims.contrast(later[-1].cell, row.cell).bounds[1]
        if max(*means, _per_thread(last, row, later[-1])) < DIMINISHED:
            return row.cell.threads
    return None


def _per_thread(gain: float, row: Row, later: Row) -> float:
    return float(gain ** (1 / (later.cell.threads - row.cell.threads)) - 1)
