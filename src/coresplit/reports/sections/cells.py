"""The tables of all cells, of cells without a value, and of other events of the run; pure."""

import statistics

from coresplit.analysis.rows import DOUBT, Points, undrawn_of
from coresplit.analysis.view import RunView
from coresplit.format import format_duration, format_share, format_size, number
from coresplit.records import AnchorVisit, Disturbed, Measurement, Prepared, Run
from coresplit.reports.document import Block, Line, Table
from coresplit.reports.sections.about import anchor_of, sentence_of
from coresplit.reports.sections.cost import error_of
from coresplit.reports.wording import date
from coresplit.stats.contention import told

CELL_COLUMNS = (
    "optimization", "threads", "batch", "placement", "verdict", "latency", "interval", "visits",
    "samples", "inferences/s", "faults per input", "kernel time", "reason",
)  # fmt: skip
CHOSEN_BY = 5
"""How many leading columns of the table of all cells have few distinct values."""
PREPARED_COLUMNS = (
    "optimization", "threads", "placement", "start", "preparation", "error against eager",
    "largest tensor",
)  # fmt: skip
NOT_FOUND = "unknown"
_SHORT = {
    "95 %": "95 %",
    "estimate": "expected",
    "published range": "min, max",
}


def cell_table(view: RunView) -> Table:
    """Every cell with its value and evidence."""
    ordered = sorted(view.run.measurements, key=lambda item: item.cell)
    lines = tuple(_cell_line(item, view.claims.points) for item in ordered)
    return Table(
        summary=sentence_of(view.run),
        head=CELL_COLUMNS,
        lines=lines,
        sortable=True,
        filters=CHOSEN_BY,
        open_up_to=60,
    )


def undrawn_table(view: RunView) -> Table:
    """Every cell without a point, with the reason."""
    items = undrawn_of(view.run, view.claims.points)
    lines = tuple(
        Line(texts=(str(item.cell), item.verdict, item.reason), kind=item.verdict) for item in items
    )
    summary = f"{len(items)} of {len(view.run.measurements)} cells"
    return Table(summary=summary, head=("cell", "verdict", "reason"), lines=lines)


def evidence_of(run: Run) -> tuple[Block, ...]:
    """Tables of disturbed visits, anchor visits and preparations."""
    anchor = anchor_of(run)
    tables = {
        "Disturbed visits": disturbance_table(run),
        f"Visits of the anchor cell{f': {anchor}' if anchor else ''}": visit_table(run),
        "Preparations": preparation_table(run),
    }
    return tuple(
        Block(heading=heading, tables=(table,)) for heading, table in tables.items() if table.lines
    )


def preparation_table(run: Run) -> Table:
    """Start and preparation time of every instance, and its error against eager."""
    lines = tuple(
        _texts(
            entry.optimization,
            str(entry.threads),
            _placing(entry.mapping, entry.allocator),
            format_duration(entry.start_s),
            format_duration(entry.prepare_s),
            error_of(entry),
            format_size(entry.largest_tensor),
        )
        for entry in run.journal
        if isinstance(entry, Prepared)
    )
    summary = f"{len(lines)} prepared instances"
    return Table(summary=summary, head=PREPARED_COLUMNS, lines=lines, open_up_to=12)


def visit_table(run: Run) -> Table:
    """Time, median and sample count of each visit of the anchor cell."""
    visits = [entry for entry in run.journal if isinstance(entry, AnchorVisit) and entry.samples]
    lines = tuple(
        _texts(
            date(visit.at),
            format_duration(statistics.median_high(visit.samples)),
            str(len(visit.samples)),
        )
        for visit in visits
    )
    summary = f"{len(visits)} visits; the noise floor comes from their spread"
    return Table(summary=summary, head=("time", "median", "samples"), lines=lines, open_up_to=12)


def disturbance_table(run: Run) -> Table:
    """Every visit that did not have its cores to itself: time, cell and cause."""
    entries = [entry for entry in run.journal if isinstance(entry, Disturbed)]
    lines = tuple(
        _texts(
            date(entry.at),
            "a verification" if entry.cell is None else str(entry.cell),
            entry.reason,
            entry.by or NOT_FOUND,
        )
        for entry in entries
    )
    return Table(
        summary=f"{told(run)}." if entries else "No visit was disturbed.",
        head=("time", "cell", "what happened", "busiest process"),
        lines=lines,
        open_up_to=12,
    )


def _texts(*texts: str) -> Line:
    return Line(texts=texts)


def _placing(mapping: str, allocator: str) -> str:
    return mapping if allocator == "default" else f"{mapping}, {allocator}"


def _cell_line(item: Measurement, points: Points) -> Line:
    cell, point = item.cell, points.get(item.cell) if item.verdict in DOUBT else None
    evidence = item.evidence
    faults = kernel = None
    if evidence and evidence.forwards:
        faults = evidence.minor_faults / (evidence.forwards * cell.batch)
        busy = evidence.user_s + evidence.system_s
        kernel = evidence.system_s / busy if busy > 0 else None
    placing = " ".join(str(cell).split()[3:]) or "sequential"
    latency = point.latency if point else None
    rate = cell.batch / latency if latency else None
    interval = ""
    if point:
        ends = f"{format_duration(point.low)} to {format_duration(point.high)}"
        interval = f"{ends} ({_SHORT[point.interval]})"
    texts = (
        cell.optimization,
        str(cell.threads),
        str(cell.batch),
        placing,
        item.verdict,
        format_duration(latency) if latency else "",
        interval,
        str(point.visits) if point and point.visits else "",
        str(len(item.samples)) if item.samples else "",
        number(rate) if rate else "",
        number(faults) if faults is not None else "",
        format_share(kernel) if kernel is not None else "",
        item.reason,
    )
    width = (point.high - point.low) / point.latency if point and point.latency else None
    keys = (
        cell.optimization, cell.threads, cell.batch, placing, item.verdict, latency, width,
        point.visits if point else None, len(item.samples), rate, faults, kernel, item.reason,
    )  # fmt: skip
    return Line(texts=texts, keys=keys, kind=item.verdict)
