"""What the journal says on optimizations: their cost in accuracy and time, and their library."""

import statistics
from collections.abc import Iterable, Sequence

from coresplit.format import format_duration, percent
from coresplit.records import UNCHECKED, Prepared, Run
from coresplit.reports.document import Line, Table
from coresplit.stats.lossy import is_lossy

NUMBER_TYPES = {
    "f32": "float32",
    "fp32": "float32",
    "float": "float32",
    "bf16": "bfloat16",
    "i8": "int8",
}
"""PyTorch's name for each number type that a library names differently."""
FEWEST_CLASSES = 20
"""An agreement is stated only if the outputs have at least this many different classes."""
TRACE = "trace"
"""What ``script`` falls back to."""
SHOWN = ("library", "version", "precision", "lossy", UNCHECKED)
"""Facts with a column of their own; the others share the last column."""

COST_COLUMNS = (
    "optimization", "results", "error against eager", "same top-1", "inputs compared",
    "preparation", "library", "precision", "other facts",
)  # fmt: skip


def number_type(run: Run, optimization: str) -> str:
    """The number type that an optimization multiplies in; float32 if it states none."""
    stated = (e.facts["precision"] for e in _of(run, optimization) if e.facts.get("precision"))
    found = next(stated, "float32").lower()
    return NUMBER_TYPES.get(found, found)


def agreement_of(run: Run, optimization: str) -> tuple[float, int] | None:
    """Lowest top-1 agreement with eager over its instances, and how many inputs it is based on."""
    told = [(e.agreement, e.compared) for e in _of(run, optimization) if e.agreement is not None]
    return min(told) if told else None


def cost_table(run: Run, order: Sequence[str]) -> Table | None:
    """What each optimization costs, or why it failed; None if the run records neither."""
    failed = _failures(run)
    lines = []
    for name in order:
        if own := _of(run, name):
            lines.append(_cost_line(name, own, order))
        elif name in failed:
            texts = (name, f"failed: {failed[name]}", *("" for _ in COST_COLUMNS[2:]))
            lines.append(Line(texts=texts, kind="failed"))
    if not lines:
        return None
    summary = "Cost of each optimization: accuracy compared with eager, and preparation time"
    return Table(summary=summary, head=COST_COLUMNS, lines=tuple(lines))


def error_of(entry: Prepared) -> str:
    """The relative error of an instance, or ``not checked``."""
    return "not checked" if UNCHECKED in entry.facts else said_error(entry.error)


def said_error(error: float) -> str:
    """A relative error: ``0``, ``3.1e-06``, ``2 %``."""
    if error == 0:
        return "0"
    return percent(error) if error >= 0.0005 else f"{error:.1e}"


def _cost_line(name: str, entries: Sequence[Prepared], order: Sequence[str]) -> Line:
    facts = {key: value for entry in entries for key, value in entry.facts.items()}
    # a script that fell back to tracing is marked; other TorchScript is not
    fell_back = name != TRACE and facts.get("torchscript") == "traced"
    library = " ".join(facts[key] for key in ("library", "version") if facts.get(key))
    besides = ", ".join(f"{key} {value}" for key, value in facts.items() if key not in SHOWN)
    lossy = any(map(is_lossy, entries))
    compared = max(entry.compared for entry in entries)
    if fell_back and TRACE in order:
        besides += f", same as {TRACE}"
    results, unchecked = "lossy" if lossy else "same as eager", UNCHECKED in facts
    if unchecked:
        results = f"lossy, {UNCHECKED}" if lossy else UNCHECKED
        besides = ", ".join(filter(None, [f"{UNCHECKED}: {facts[UNCHECKED]}", besides]))
    texts = (
        f"{name} (traced)" if fell_back else name,
        results,
        error_of(max(entries, key=lambda entry: (UNCHECKED in entry.facts, entry.error))),
        _agreement([entry.agreement for entry in entries], compared),
        str(compared) if compared else "none" if unchecked else "not stated",
        _seconds([entry.prepare_s for entry in entries]),
        library,
        facts.get("precision", ""),
        besides,
    )
    return Line(texts=texts, kind="lossy" if lossy else "")


def _agreement(shares: Iterable[float | None], compared: int) -> str:
    told = [share for share in shares if share is not None]
    if told:
        return percent(min(told))
    if not compared:
        return "not compared"
    few = f"too few inputs ({compared})"
    return few if compared < FEWEST_CLASSES else "no classes, or too few"


def _seconds(seconds: Sequence[float]) -> str:
    least, most = min(seconds), max(seconds)
    middle = format_duration(statistics.median(seconds))
    if most <= 1.5 * least:
        return middle
    return f"{middle} ({format_duration(least)} to {format_duration(most)})"


def _failures(run: Run) -> dict[str, str]:
    """Optimizations with failed cells and no cell with a value, and the first reason."""
    reasons: dict[str, str] = {}
    alive = set()
    for item in run.measurements:
        if item.verdict == "failed":
            reasons.setdefault(item.cell.optimization, item.reason or "no reason was recorded")
        elif item.samples or item.estimate or item.published:
            alive.add(item.cell.optimization)
    return {name: reason for name, reason in reasons.items() if name not in alive}


def _of(run: Run, optimization: str) -> list[Prepared]:
    return [entry for entry in _entries(run) if entry.optimization == optimization]


def _entries(run: Run) -> list[Prepared]:
    return [entry for entry in run.journal if isinstance(entry, Prepared)]
