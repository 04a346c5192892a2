"""Compare rows of a run by its claims; pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from coresplit.analysis.rows import DOUBT, Row
from coresplit.records import Run
from coresplit.stats.claims import Claims
from coresplit.stats.difference import LEVEL, Contrast, Relation, decide

DIMINISHED = 0.03
"""A further thread that gains less than this share is hardly worth it."""

BASELINE = "none"
"""What other optimizations are compared with, if it was measured."""

FASTER: Relation = "faster"
SLOWER: Relation = "slower"


def baseline_of(run: Run) -> str:
    """What other optimizations of a run are compared with: ``none``, else the first drawn one."""
    drawn = {item.cell.optimization for item in run.measurements if item.verdict in DOUBT}
    order = (BASELINE, *run.settings.optimizations, *sorted(drawn))
    return next((name for name in order if name in drawn), BASELINE)


def relation(first: Row, second: Row, claims: Claims) -> Relation:
    """How the throughput of the first row compares with that of the second."""
    return claims.relation(first.cell, second.cell)


def differs(first: Row, second: Row, claims: Claims) -> bool:
    """True if the throughputs of two rows are shown to differ, either way."""
    return relation(first, second, claims) in (FASTER, SLOWER)


def gains_differ(first: Contrast, second: Contrast, claims: Claims) -> bool:
    """True if two gains that share no cell are shown to differ.

    The test corrects for the number of all pairs of cells, because the two gains were picked from
    among them.
    """
    apart = Contrast(
        log=first.log - second.log,
        error=math.hypot(first.error, second.error),
        df=min(first.df, second.df),
    )
    return decide([apart], LEVEL / math.comb(len(claims.points), 2))[0] in (FASTER, SLOWER)


def quickest(rows: Iterable[Row]) -> Row:
    """The row with the lowest latency; of equals, the one with fewest threads."""
    return min(rows, key=lambda row: (row.point.latency, row.cell.threads, row.cell.batch))


def busiest(rows: Iterable[Row]) -> Row:
    """The row with the highest throughput; of equals, the one with fewest threads."""
    return min(rows, key=lambda row: (-row.throughput, row.cell.threads, row.cell.batch))


def by_optimization(rows: Iterable[Row]) -> dict[str, tuple[Row, ...]]:
    """The rows of each optimization, sorted by cell."""
    ordered = sorted(rows, key=lambda row: row.cell)
    return {
        name: tuple(members)
        for name, members in groupby(ordered, key=lambda row: row.cell.optimization)
    }


def knee(rows: Sequence[Row], claims: Claims) -> int | None:
    """Threads beyond which each added thread is shown to gain less than 3 %; None if unknown.

    The fewest threads t such that for every larger t' the mean gain per added thread,
    (y(t') / y(t)) ** (1 / (t' - t)) - 1, stays below the limit, and for the largest t' the upper
    bound of its 95 % interval does too. At least two larger counts must follow: one step shows no
    trend.
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
