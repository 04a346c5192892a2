"""What both pages say beside the figures: key facts, circumstances, tables; pure."""

from collections import Counter
from datetime import UTC, datetime

from coresplit.records import AnchorVisit, Cell, Ended, Run, Verdict
from coresplit.report.book import Book, Fact
from coresplit.report.contrast import busiest, quickest
from coresplit.report.table import Row
from coresplit.report.wording import (
    MEANING,
    listed,
    named,
    number,
    on_threads,
    percent,
    some_cells,
    times,
)
from coresplit.units import format_duration, format_numbers, format_share, format_size

NOT_STATED = "not stated"


def facts_of(run: Run, book: Book) -> tuple[Fact, ...]:
    """The facts to show first; empty for a run without drawable cells."""
    rows = [row for group in book.groups for row in group.rows]
    if not rows:
        return ()
    top = busiest(_firm(rows))
    smallest = min(row.cell.batch for row in rows)
    fast = quickest(_firm([row for row in rows if row.cell.batch == smallest]))
    facts = [
        *book.facts,
        Fact(
            label="Highest throughput",
            value=f"{number(top.throughput)} inferences/s",
            note=_where(top, top.verdict),
        ),
        Fact(
            label=f"Lowest latency at batch {smallest}",
            value=format_duration(fast.point.latency),
            note=_where(fast, fast.verdict),
        ),
    ]
    scaled = [row for row in rows if row.speedup and row.speedup.base < row.cell.threads]
    if scaled:
        far = max(_firm(scaled), key=lambda row: row.speedup.value if row.speedup else 0.0)
        if far.speedup:
            facts.append(
                Fact(
                    label=f"Best speedup over {on_threads(far.speedup.base)}",
                    value=times(far.speedup.value),
                    note=_where(far, far.speedup.verdict),
                )
            )
    facts.append(_floor_fact(book))
    return tuple(facts)


def counts_of(run: Run) -> tuple[tuple[Verdict, int, str], ...]:
    """How many cells got each verdict that occurs, with the meaning of the verdict."""
    found = Counter(item.verdict for item in run.measurements)
    meaning = dict(MEANING)
    if any(item.published for item in run.measurements):
        meaning["measured"] = "the published mean, with the published minimum and maximum"
    return tuple(
        (verdict, found[verdict], meaning[verdict]) for verdict in MEANING if found[verdict]
    )


def about(run: Run, book: Book) -> tuple[tuple[str, str], ...]:
    """What was measured, on what, and how, as pairs of label and text."""
    return (*_about_model(run), *_about_machine(run), *_about_sweep(run))


def date(at: float) -> str:
    """A Unix time as ``2026-01-01 12:00 UTC``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def sentence_of(run: Run) -> str:
    """One line on how many cells there are and what became of them."""
    parts = [f"{count} {verdict}" for verdict, count, _ in counts_of(run)]
    total = some_cells(len(run.measurements))
    return f"{total}: {listed(parts)}." if parts else "No cells."


def _floor_fact(book: Book) -> Fact:
    share = percent(book.floor.share)
    if book.floor.known:
        return Fact(label="Noise floor", value=share, note="no difference below it is named")
    note = "this run does not tell its own: differences below are not named"
    return Fact(label="Noise floor", value=f"{share}, assumed", note=note)


def _firm(rows: list[Row]) -> list[Row]:
    """Rows that were measured; all where none was."""
    return [
        row
        for row in rows
        if row.verdict != "estimated" and not (row.speedup and row.speedup.verdict == "estimated")
    ] or rows


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
    anchor = anchor_of(run)
    pairs += [("Anchor cell", str(anchor))] if anchor else []
    ends = [entry for entry in run.journal if isinstance(entry, Ended)]
    if ends:
        wall = sum(entry.wall_s for entry in ends)
        busy = sum(entry.forward_s for entry in ends)
        share = f", {format_share(busy / wall)} of it in forwards" if wall > 0 else ""
        pairs.append(("Sweep took", f"{format_duration(wall)}{share} ({ends[-1].reason})"))
    return pairs
