"""Runs, plans and verifications as small HTML tables, for notebooks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from coresplit.analysis.view import RunView
from coresplit.format import format_duration, number
from coresplit.records import Run
from coresplit.reports.headline import headlines


def run_html(run: Run) -> str:
    """Return the findings of a run and the number of cells by verdict."""
    counts = Counter(item.verdict for item in run.measurements)
    lines = [*headlines(RunView(run)), ", ".join(f"{n} {name}" for name, n in counts.items())]
    said = "".join(f"<li>{escape(line)}</li>" for line in lines if line)
    return f"<b>{escape(run.model.title)}</b>, run {escape(run.name)}<ul>{said}</ul>"


def plan_html(plan: dict[str, Any]) -> str:
    """Return what to run and the alternatives."""
    rows = [("recommended", plan), ("fastest", plan["fastest"])]
    rows += [(name, plan[name]) for name in ("fat", "thin") if plan[name]]
    table = _table(
        ("", "instances x threads, batch", "latency", "inferences/s"),
        (
            (name, _split(one), format_duration(one["latency_s"]), number(_rate(plan, one)))
            for name, one in rows
        ),
    )
    head = f"batch {plan['batch']} on {plan['cores']} cores, {plan['optimization']}"
    return f"<b>{escape(head)}</b>: {escape(plan['verdict'])}{table}"


def verification_html(verification: dict[str, Any]) -> str:
    """Return the verdict and the speedups."""
    table = _table(
        ("over", "speedup of the split", "95 % interval"),
        (
            (name, f"{each['ratio']:.2f}x", f"{each['low']:.2f} to {each['high']:.2f}")
            for name, each in verification["speedup_over"].items()
        ),
    )
    rounds = f"{verification['rounds']} rounds"
    return f"<b>{escape(verification['verdict'])}</b> over {rounds}{table}"


def _split(option: dict[str, Any]) -> str:
    return " + ".join(
        f"{piece['instances']} x {piece['threads']}, {piece['batch']}" for piece in option["split"]
    )


def _rate(plan: dict[str, Any], option: dict[str, Any]) -> float:
    rate: float = plan["batch"] / option["latency_s"]
    return rate


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
