"""The key facts that a page shows first; pure."""

import math
from collections.abc import Sequence

from coresplit.analysis.ranking import Ranking
from coresplit.analysis.rows import Row
from coresplit.analysis.significance import busiest, differs, quickest
from coresplit.analysis.splits import Choice
from coresplit.analysis.view import RunView
from coresplit.format import (
    format_duration,
    format_share,
    number,
    on_threads,
    percent,
    some_cells,
    times,
    times_exact,
)
from coresplit.records import Verdict
from coresplit.reports.document import Fact
from coresplit.reports.sections.choice.text import facts_of_choice
from coresplit.reports.sections.scaling.text import beyond_linear, gains
from coresplit.reports.sections.split.facts import facts_of_splits
from coresplit.reports.wording import UNCLEAR, more_time, named
from coresplit.stats.noise import noise_floor
from coresplit.stats.variance import Variance


def facts_of(
    rankings: Sequence[Ranking], choices: Sequence[Choice], view: RunView
) -> tuple[Fact, ...]:
    """The facts to show first; empty for a run without drawable cells."""
    if not view.rows:
        return ()
    return (
        *facts_of_choice(rankings, view),
        *facts_of_splits(choices, view),
        highest_throughput(view),
        _lowest_latency(view),
        *_speedup_fact(view),
        _noise_fact(view),
    )


def highest_throughput(view: RunView) -> Fact:
    """The cell of the highest throughput; the view must have rows."""
    top = busiest(_firm(view.rows))
    return Fact(
        label="Highest throughput",
        value=f"{number(top.throughput)} inferences/s",
        note=(
            f"{_span(*top.throughput_interval)}; {_where(top, top.verdict)}"
            f"{_rivals(top, view.rows, view)}"
        ),
    )


def _lowest_latency(view: RunView) -> Fact:
    smallest = min(row.cell.batch for row in view.rows)
    alike = [row for row in view.rows if row.cell.batch == smallest]
    fast = quickest(_firm(alike))
    return Fact(
        label=f"Lowest latency at batch {smallest}",
        value=format_duration(fast.point.latency),
        note=(
            f"{format_duration(fast.point.low)} to {format_duration(fast.point.high)}; "
            f"{_where(fast, fast.verdict)}{_rivals(fast, alike, view)}"
        ),
    )


def _speedup_fact(view: RunView) -> tuple[Fact, ...]:
    """The largest significant speedup, by the lower end of its interval."""
    scaled = [
        row for row in _firm(view.rows) if row.speedup and row.speedup.base < row.cell.threads
    ]
    if not scaled:
        return ()
    base = scaled[0].speedup.base if scaled[0].speedup else 1
    label = f"Best speedup over {on_threads(base)}"
    shown = [row for row in scaled if gains(row, view.claims)]
    if not shown:
        note = f"more threads show no gain; {more_time(view)}"
        return (Fact(label=label, value="unknown so far", note=note),)
    far = max(shown, key=lambda row: row.speedup.low if row.speedup else 0.0)
    assert far.speedup is not None
    span = f"{times_exact(far.speedup.low)} to {times_exact(far.speedup.high)}"
    note = f"{span}{beyond_linear(far.speedup)}; {_where(far, far.speedup.verdict)}"
    return (Fact(label=label, value=times(far.speedup.value), note=note),)


def _noise_fact(view: RunView) -> Fact:
    """How far two measurements of one cell are apart, and the parts of that noise."""
    floor, variance = noise_floor(view.run.journal), view.claims.variance
    if floor is None or not variance.known:
        note = f"too few visits to tell, so few differences are reported; {more_time(view)}"
        if view.run.machine is None:
            note = "not stated in the tables; 2.5 % per visit is assumed"
        return Fact(label="Noise floor", value="unknown", note=note)
    note = f"two measurements of a cell agree within this; {noise_parts(variance)}"
    return Fact(label="Noise floor", value=percent(floor), note=note)


def noise_parts(variance: Variance) -> str:
    """The standard deviations that make up a run's noise, for a cell that varies as most do."""
    typical = math.sqrt(variance.alone.factor)
    return (
        f"{format_share(typical * variance.between)} between visits, "
        f"{format_share(typical * variance.within)} between forward passes of a visit"
    )


def _firm(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows that were measured, or all rows if none was."""
    return [
        row
        for row in rows
        if row.verdict != "estimated" and not (row.speedup and row.speedup.verdict == "estimated")
    ] or rows


def _rivals(row: Row, others: Sequence[Row], view: RunView) -> str:
    """How many cells are too close to call against one that was picked for its value."""
    close = sum(not differs(row, other, view.claims) for other in others if other.cell != row.cell)
    return f"; {some_cells(close)} {UNCLEAR}" if close else ""


def _span(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _where(row: Row, verdict: Verdict) -> str:
    cell = row.cell
    extra: list[str] = [cell.mapping] if cell.mapping != "sequential" else []
    extra += [cell.allocator] if cell.allocator != "default" else []
    extra += [cell.setting] if cell.setting != "isolated" else []
    extra += [verdict] if verdict != "measured" else []
    place = [named(row), on_threads(cell.threads), f"batch {cell.batch}", *extra]
    return ", ".join(place)
