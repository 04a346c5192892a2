"""Words and numbers as sentences and tables of the report show them."""

from collections.abc import Sequence
from shlex import quote

from coresplit.records import Run, Verdict
from coresplit.report.table import Row
from coresplit.stats.difference import MARGIN
from coresplit.units import format_duration

MEANING: dict[Verdict, str] = {
    "measured": "three visits or more, and an interval within the precision asked",
    "light": "one or two visits; the interval rests on how much other cells vary",
    "unstable": "a wide interval after three visits or more, or something else took processor time",
    "estimated": "not measured: worked out from neighbours, drawn hollow with its expected range",
    "invalid": "measured under conditions that spoil it, such as throttling: not drawn",
    "skipped": "not measured, for the reason given: not drawn",
    "failed": "could not be measured: not drawn",
}

EQUIVALENT = f"equivalent within {MARGIN:.0%}".replace("%", " %")
UNCLEAR = "too close to call"


def rate(value: float) -> str:
    """Inferences per second with three significant digits: ``155 inferences/s``."""
    return f"{number(value)} inferences/s"


def number(value: float) -> str:
    """Three significant digits without an exponent: ``0.0123``, ``1.23``, ``12,300``."""
    if value >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{digits}f}"


def times(ratio: float) -> str:
    """A ratio: ``1.07x``, ``3.2x``, ``12x``."""
    if ratio < 1.095:
        return f"{ratio:.2f}x"
    return f"{ratio:.1f}x" if ratio < 99.5 else f"{ratio:,.0f}x"


def times_exact(ratio: float) -> str:
    """A ratio with three significant digits: ``1.07x``, ``12.3x``."""
    return f"{number(ratio)}x"


def percent(share: float) -> str:
    """A share for a sentence: ``0.4 %``, ``3 %``, ``37 %``."""
    return f"{share * 100:.1f} %" if share < 0.0095 else f"{share * 100:.0f} %"


def on_threads(count: int) -> str:
    """``1 thread`` or ``16 threads``."""
    return "1 thread" if count == 1 else f"{count} threads"


def some_cells(count: int) -> str:
    """``1 cell`` or ``16 cells``."""
    return "1 cell" if count == 1 else f"{count:,} cells"


def doubt(verdict: Verdict) -> str:
    """What must be said beside a value that is not firmly measured: `` (estimated)``."""
    return "" if verdict == "measured" else f" ({verdict})"


def named(row: Row) -> str:
    """The optimization of a row, told where it is lossy: ``int8 (lossy)``."""
    return f"{row.cell.optimization} (lossy)" if row.lossy else row.cell.optimization


def latency(row: Row) -> str:
    """Latency of a row with its doubt: ``12.3 ms (estimated)``."""
    return format_duration(row.point.latency) + doubt(row.verdict)


def throughput(row: Row) -> str:
    """Throughput of a row with its doubt: ``155 inferences/s (light)``."""
    return rate(row.throughput) + doubt(row.verdict)


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def more_time(run: Run) -> str:
    """How to learn what a run does not tell yet; imported tables tell no more."""
    if run.machine is None:
        return "the tables tell no more"
    return f"measure longer: coresplit bench --resume {quote(run.name)} --budget 30m"
