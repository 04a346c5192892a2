"""When two values differ: beyond the noise floor, and with intervals that stay apart; pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

import msgspec

from coresplit.records import Run
from coresplit.report.table import DOUBT, Row
from coresplit.report.wording import percent
from coresplit.stats.noise import ASSUMED_FLOOR, noise_floor

DIMINISHED = 0.03
"""A further thread that brings less than this share is hardly worth it."""

BASELINE = "none"
"""What other optimizations are compared with, where it was measured."""

Relation = Literal["tied", "overlap", "differs"]


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The relative difference below which none is named, and whether it was measured."""

    share: float
    known: bool

    def __str__(self) -> str:
        """Name it as sentences do."""
        kind = "the" if self.known else "an assumed"
        return f"{kind} noise floor of {percent(self.share)}"


def floor_of(run: Run) -> Floor:
    """The noise floor of a run's anchor visits, or the assumed one."""
    share = noise_floor(run.journal)
    return Floor(share=ASSUMED_FLOOR if share is None else share, known=share is not None)


def baseline_of(run: Run) -> str:
    """What other optimizations of a run are compared with: ``none``, else the first drawn one."""
    drawn = {item.cell.optimization for item in run.measurements if item.verdict in DOUBT}
    order = (BASELINE, *run.settings.optimizations, *sorted(drawn))
    return next((name for name in order if name in drawn), BASELINE)


def relation(first: Row, second: Row, floor: Floor) -> Relation:
    """How the throughputs of two rows stand to each other.

    ``tied``: their ratio is within the floor. ``overlap``: it is beyond, but their intervals
    share values, so neither is shown to be larger. A published range is no such interval: one
    slow outlier sets its end.
    """
    a, b = first.throughput, second.throughput
    if max(a, b) / min(a, b) <= 1 + floor.share:
        return "tied"
    if "published range" in (first.point.interval, second.point.interval):
        return "differs"
    (low_a, high_a), (low_b, high_b) = first.throughput_interval, second.throughput_interval
    return "differs" if low_a > high_b or low_b > high_a else "overlap"


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


def knee(rows: Sequence[Row], floor: Floor) -> int | None:
    """Threads beyond which each added thread gains less than 3 %, or less than the noise floor.

    The fewest threads t such that for every larger t' the mean gain per added thread,
    (y(t') / y(t)) ** (1 / (t' - t)) - 1, stays under the limit. None where fewer
    than two larger counts follow: one step shows no trend.
    """
    limit = gain_limit(floor)
    ordered = sorted(rows, key=lambda row: row.cell.threads)
    for place, row in enumerate(ordered[:-2]):
        later = ordered[place + 1 :]
        if all(_gain_per_thread(row, other) < limit for other in later):
            return row.cell.threads
    return None


def gain_limit(floor: Floor) -> float:
    """The gain per thread under which a thread is said to bring little."""
    return max(DIMINISHED, floor.share)


def _gain_per_thread(row: Row, later: Row) -> float:
    added = later.cell.threads - row.cell.threads
    return float((later.throughput / row.throughput) ** (1 / added) - 1)
