"""Format words and numbers for sentences and tables of the report."""

from datetime import UTC, datetime

from coresplit.analysis.rows import Row
from coresplit.analysis.view import RunView
from coresplit.commands import bench_again
from coresplit.format import format_duration, rate
from coresplit.records import Verdict
from coresplit.stats.difference import MARGIN

MEANING: dict[Verdict, str] = {
    "measured": "at least three visits, and an interval within the requested precision",
    "light": "one or two visits; the interval is based on how much other cells vary",
    "unstable": "still a wide interval after three or more visits, or other work used the cores",
    "estimated": "not measured; estimated from neighbours, drawn hollow with its expected range",
    "invalid": "measured under bad conditions, such as throttling; not drawn",
    "skipped": "not measured, for the reason given; not drawn",
    "failed": "could not be measured; not drawn",
}

EQUIVALENT = f"equivalent within {MARGIN:.0%}".replace("%", " %")
UNCLEAR = "too close to call"
MORE_TIME = "30m"


def date(at: float) -> str:
    """A Unix time as ``2026-01-01 12:00 UTC``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def doubt(verdict: Verdict) -> str:
    """The verdict to append to a value unless it is ``measured``: `` (estimated)``."""
    return "" if verdict == "measured" else f" ({verdict})"


def named(row: Row) -> str:
    """The optimization of a row, marked if it is lossy: ``int8 (lossy)``."""
    return f"{row.cell.optimization} (lossy)" if row.lossy else row.cell.optimization


def latency(row: Row) -> str:
    """Latency of a row with its doubt: ``12.3 ms (estimated)``."""
    return format_duration(row.point.latency) + doubt(row.verdict)


def throughput(row: Row) -> str:
    """Throughput of a row with its doubt: ``155 inferences/s (light)``."""
    return rate(row.throughput) + doubt(row.verdict)


def more_time(view: RunView) -> str:
    """The command that measures longer; imported tables cannot be extended."""
    if view.run.machine is None:
        return "the imported tables have no more data"
    return f"measure longer: {bench_again(view.shown, budget=MORE_TIME)}"
