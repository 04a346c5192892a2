"""What was measured, on what, how, and how to read the points; pure."""

from collections import Counter

from coresplit.analysis.view import RunView
from coresplit.format import (
    format_duration,
    format_numbers,
    format_share,
    format_size,
    listed,
    some_cells,
)
from coresplit.records import AnchorVisit, Cell, Ended, Run, Verdict
from coresplit.reports.sections.facts import noise_parts
from coresplit.reports.sections.page_faults import about_faults
from coresplit.reports.wording import MEANING, date
from coresplit.stats.contention import told
from coresplit.stats.lossy import unchecked_text
from coresplit.stats.noise import visit_drift

NOT_STATED = "not stated"


def about(view: RunView) -> tuple[tuple[str, str], ...]:
    """What was measured, on what, and how, as pairs of label and text."""
    return (
        *_about_model(view.run),
        *_about_machine(view.run),
        *_about_sweep(view.run),
        *_about_noise(view),
        *about_faults(view),
    )


def reading_of(view: RunView) -> str:
    """How to read the figures of a run."""
    lossy = any(row.lossy for row in view.rows)
    dashes = " Dash-dotted lines are lossy optimizations, which change results." if lossy else ""
    assumed = (
        ""
        if view.claims.variance.known
        else " This run has too few repeated visits to estimate how much its cells vary, so a "
        "variance is assumed and few differences are reported."
    )
    return (
        "Bands and whiskers show the interval of each value. Dashed lines join estimated points, "
        f"and lines break where a cell is missing.{dashes} Hover over a point for its cell, "
        f"interval, samples and reason.{assumed} A difference is reported only where a "
        "statistical test supports it; everything else is too close to call."
    )


def counts_of(run: Run) -> tuple[tuple[Verdict, int, str], ...]:
    """How many cells got each verdict that occurs, with the meaning of the verdict."""
    found = Counter(item.verdict for item in run.measurements)
    meaning = dict(MEANING)
    if any(item.published for item in run.measurements):
        meaning["measured"] = "the published mean, with the published minimum and maximum"
    return tuple(
        (verdict, found[verdict], meaning[verdict]) for verdict in MEANING if found[verdict]
    )


def sentence_of(run: Run) -> str:
    """One sentence with the number of cells and how many got each verdict."""
    parts = [f"{count} {verdict}" for verdict, count, _ in counts_of(run)]
    total = some_cells(len(run.measurements))
    return f"{total}: {listed(parts)}." if parts else "No cells."


def _about_model(run: Run) -> list[tuple[str, str]]:
    model = run.model
    inputs = ", ".join(map(str, model.inputs)) or NOT_STATED
    pairs = [
        ("Model", model.title),
        ("Parameters", f"{model.parameters:,}" if model.parameters else NOT_STATED),
        ("Input per inference", inputs),
        ("Weights", model.weights or NOT_STATED),
    ]
    if model.flops:
        pairs.insert(2, ("Operations per inference", f"{model.flops / 1e9:,.3g} GFLOP"))
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


def _about_noise(view: RunView) -> list[tuple[str, str]]:
    """The components of the run's variance, and what remains of warm-up."""
    run, variance = view.run, view.claims.variance
    drift = visit_drift(run)
    if not variance.known:
        return []
    pairs = [("Standard deviations", noise_parts(variance))]
    if any(visit.process for item in run.measurements for visit in item.visits):
        shown = format_share(variance.process) if variance.process else "not significant"
        pairs.append(("Restarted instances", f"difference between processes: {shown}"))
    if drift is not None:
        pairs.append(
            ("First forward after warm-up", f"{drift * 100:+.1f} % compared with the others")
        )
    return pairs


def anchor_of(run: Run) -> Cell | None:
    """The cell that was visited repeatedly; not the requested one if that could not run."""
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
    pairs += [("Budget", budget), ("Requested precision", format_share(asked.precision))]
    pairs += [("Seed", str(asked.seed))]
    pairs += [("Inputs", {"hot": "the same input each time", "rotate": "rotating"}[asked.inputs])]
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
        share = f", {format_share(busy / wall)} of it in forward passes" if wall > 0 else ""
        pairs.append(("Sweep took", f"{format_duration(wall)}{share} ({ends[-1].reason})"))
    return pairs
