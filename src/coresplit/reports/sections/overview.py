"""What both pages say beside the figures: key facts, circumstances, tables; pure."""

import math
from collections import Counter
from datetime import UTC, datetime

from coresplit.analysis.rows import Row
from coresplit.analysis.significance import busiest, differs, quickest
from coresplit.format import (
    format_duration,
    format_numbers,
    format_share,
    format_size,
    listed,
    number,
    on_threads,
    percent,
    some_cells,
    times,
    times_exact,
)
from coresplit.records import AnchorVisit, Cell, Ended, Run, Verdict
from coresplit.reports.document import Document, Fact
from coresplit.reports.sections.scaling_text import beyond_linear, gains
from coresplit.reports.wording import MEANING, UNCLEAR, more_time, named
from coresplit.stats.claims import Claims
from coresplit.stats.contention import told
from coresplit.stats.lossy import unchecked_text
from coresplit.stats.noise import visit_drift
from coresplit.stats.variance import Variance

NOT_STATED = "not stated"


def facts_of(run: Run, document: Document) -> tuple[Fact, ...]:
    """The facts to show first; empty for a run without drawable cells."""
    rows = [row for group in document.groups for row in group.rows]
    if not rows:
        return ()
    top = busiest(_firm(rows))
    smallest = min(row.cell.batch for row in rows)
    alike = [row for row in rows if row.cell.batch == smallest]
    fast = quickest(_firm(alike))
    facts = [
        *document.facts,
        Fact(
            label="Highest throughput",
            value=f"{number(top.throughput)} inferences/s",
            note=(
                f"{_span(*top.throughput_interval)}; {_where(top, top.verdict)}"
                f"{_rivals(top, rows, document.claims)}"
            ),
        ),
        Fact(
            label=f"Lowest latency at batch {smallest}",
            value=format_duration(fast.point.latency),
            note=(
                f"{format_duration(fast.point.low)} to {format_duration(fast.point.high)}; "
                f"{_where(fast, fast.verdict)}"
                f"{_rivals(fast, alike, document.claims)}"
            ),
        ),
    ]
    return (*facts, *_speedup_fact(run, rows, document.claims), _noise_fact(run, document))


def _speedup_fact(run: Run, rows: list[Row], claims: Claims) -> tuple[Fact, ...]:
    """The largest speedup that is shown to be one, by the lower end of its interval."""
    scaled = [row for row in _firm(rows) if row.speedup and row.speedup.base < row.cell.threads]
    if not scaled:
        return ()
    base = scaled[0].speedup.base if scaled[0].speedup else 1
    label = f"Best speedup over {on_threads(base)}"
    shown = [row for row in scaled if gains(row, claims)]
    if not shown:
        note = f"no gain from more threads is shown; {more_time(run)}"
        return (Fact(label=label, value="not known yet", note=note),)
    far = max(shown, key=lambda row: row.speedup.low if row.speedup else 0.0)
    assert far.speedup is not None
    span = f"{times_exact(far.speedup.low)} to {times_exact(far.speedup.high)}"
    note = f"{span}{beyond_linear(far.speedup)}; {_where(far, far.speedup.verdict)}"
    return (Fact(label=label, value=times(far.speedup.value), note=note),)


def counts_of(run: Run) -> tuple[tuple[Verdict, int, str], ...]:
    """How many cells got each verdict that occurs, with the meaning of the verdict."""
    found = Counter(item.verdict for item in run.measurements)
    meaning = dict(MEANING)
    if any(item.published for item in run.measurements):
        meaning["measured"] = "the published mean, with the published minimum and maximum"
    return tuple(
        (verdict, found[verdict], meaning[verdict]) for verdict in MEANING if found[verdict]
    )


def about(run: Run, document: Document) -> tuple[tuple[str, str], ...]:
    """What was measured, on what, and how, as pairs of label and text."""
    return (
        *_about_model(run),
        *_about_machine(run),
        *_about_sweep(run),
        *_about_noise(run, document),
        *document.about,
    )


def date(at: float) -> str:
    """A Unix time as ``2026-01-01 12:00 UTC``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def sentence_of(run: Run) -> str:
    """One line on how many cells there are and what became of them."""
    parts = [f"{count} {verdict}" for verdict, count, _ in counts_of(run)]
    total = some_cells(len(run.measurements))
    return f"{total}: {listed(parts)}." if parts else "No cells."


def _noise_fact(run: Run, document: Document) -> Fact:
    """How far two measurements of one cell are apart, and what that consists of."""
    variance = document.claims.variance
    if document.noise is None or not variance.known:
        note = f"too few visits to tell, so hardly any difference is named; {more_time(run)}"
        if run.machine is None:
            note = "the tables do not state it; differences are judged by an assumed 2.5 % a visit"
        return Fact(label="Noise floor", value="not known", note=note)
    note = f"two measurements of one cell stay within it; {noise_parts(variance)}"
    return Fact(label="Noise floor", value=percent(document.noise), note=note)


def noise_parts(variance: Variance) -> str:
    """The standard deviations that a run's noise consists of, of a cell that varies as most do."""
    typical = math.sqrt(variance.alone.factor)
    return (
        f"{format_share(typical * variance.between)} between visits, "
        f"{format_share(typical * variance.within)} between forwards of a visit"
    )


def _firm(rows: list[Row]) -> list[Row]:
    """Rows that were measured; all where none was."""
    return [
        row
        for row in rows
        if row.verdict != "estimated" and not (row.speedup and row.speedup.verdict == "estimated")
    ] or rows


def _rivals(row: Row, others: list[Row], claims: Claims) -> str:
    """How many cells are not told apart from one that was picked for its value."""
    close = sum(not differs(row, other, claims) for other in others if other.cell != row.cell)
    return f"; {UNCLEAR} with {some_cells(close)}" if close else ""


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


def _about_model(run: Run) -> list[tuple[str, str]]:
    model = run.model
    inputs = ", ".join(map(str, model.inputs)) or NOT_STATED
    pairs = [
        ("Model", model.title),
        ("Parameters", f"{model.parameters:,}" if model.parameters else NOT_STATED),
        ("Input of one inference", inputs),
        ("Weights", model.weights or NOT_STATED),
    ]
    if model.flops:
        pairs.insert(2, ("Operations of one inference", f"{model.flops / 1e9:,.3g} GFLOP"))
    return pairs


def _about_machine(run: Run) -> list[tuple[str, str]]:
    machine = run.machine
    software = ", ".join(f"{name} {version}" for name, version in sorted(run.software.items()))
    if machine is None:
        return [("Machine", NOT_STATED), ("Software", software or NOT_STATED)]
    quota = f"{machine.quota_cores:g} cores" if machine.quota_cores is not None else "none"
    limit = f", limited to {format_size(machine.memory_limit)}" if machine.memory_limit else ""
    return [
        ("Processor", machine.cpu_model),
        ("Usable cores", f"{machine.usable} of {len(machine.cores)} physical"),
        ("CPU quota", quota),
        ("Memory", format_size(machine.memory) + limit),
        ("NUMA nodes", str(machine.nodes)),
        ("Kernel", machine.kernel),
        ("Software", software or NOT_STATED),
    ]


def _about_noise(run: Run, document: Document) -> list[tuple[str, str]]:
    """What the variance of the run consists of, and what is left of warm-up."""
    variance, drift = document.claims.variance, visit_drift(run)
    if not variance.known:
        return []
    pairs = [("Standard deviations", noise_parts(variance))]
    if any(visit.process for item in run.measurements for visit in item.visits):
        shown = format_share(variance.process) if variance.process else "not shown to matter"
        pairs.append(("Restarted instances", f"differences between processes: {shown}"))
    if drift is not None:
        pairs.append(("First forward after warm-up", f"{drift * 100:+.1f} % against the others"))
    return pairs


def anchor_of(run: Run) -> Cell | None:
    """The cell that was repeated: another one than was asked for, where that could not run."""
    visited = (entry.cell for entry in run.journal if isinstance(entry, AnchorVisit))
    return next(filter(None, visited), run.settings.anchor)


def _about_sweep(run: Run) -> list[tuple[str, str]]:
    asked = run.settings
    pairs = [
        ("Date", date(run.created_at) if run.created_at > 0 else NOT_STATED),
        ("Optimizations", ", ".join(asked.optimizations)),
        ("Threads", format_numbers(asked.threads)),
        ("Batches", format_numbers(asked.batches)),
        ("Mapping", ", ".join(asked.mappings)),
        ("Allocator", ", ".join(asked.allocators)),
    ]
    if not any(item.samples for item in run.measurements):
        return pairs
    budget = "none" if asked.budget_s is None else format_duration(asked.budget_s)
    pairs += [("Budget", budget), ("Precision asked", format_share(asked.precision))]
    pairs += [("Seed", str(asked.seed))]
    pairs += [("Inputs", {"hot": "one hot input", "rotate": "rotating"}[asked.inputs])]
    unchecked = unchecked_text(run)
    pairs += [("Outputs", unchecked)] if unchecked else []
    anchor = anchor_of(run)
    pairs += [("Anchor cell", str(anchor))] if anchor else []
    disturbances = told(run)
    pairs += [("Disturbed", disturbances)] if disturbances else []
    ends = [entry for entry in run.journal if isinstance(entry, Ended)]
    if ends:
        wall = sum(entry.wall_s for entry in ends)
        busy = sum(entry.forward_s for entry in ends)
        share = f", {format_share(busy / wall)} of it in forwards" if wall > 0 else ""
        pairs.append(("Sweep took", f"{format_duration(wall)}{share} ({ends[-1].reason})"))
    return pairs
