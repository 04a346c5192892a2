"""The results of a comparison in words and as a plain table; pure functions."""

from collections.abc import Iterator, Sequence

from compared import FEWEST_ROUNDS, JUDGED, Comparison, Figure, LoadName, Row, Standing, rows_of

from coresplit.format import format_duration, listed, number, times_exact
from coresplit.stats.difference import Relation
from coresplit.workflows.showing.text_table import aligned

FIGURES: dict[Figure, str] = {
    "throughput": "throughput",
    "p50": "p50",
    "cpu": "CPU per request",
    "memory": "memory",
}
HEAD = ("server", "requests/s", "p50", "p99", "CPU/request", "resident", "PSS", "failed")
MOST_NAMED = 6
WON_OR_LOST = ("faster", "slower")
_MIB = 1 << 20


def standing_text(standing: Standing | None) -> str:
    """Say how coresplit compares with another in one figure; ``-`` if it was not compared."""
    if standing is None:
        return "-"
    if standing.relation == "equivalent":
        return "equal within 3 %"
    if standing.relation == "unclear":
        return f"too close to call ({_span(standing.low, standing.high)})"
    ratio, low, high, word = standing.ratio, standing.low, standing.high, "better"
    if standing.relation == "slower":
        ratio, low, high, word = 1 / ratio, 1 / high, 1 / low, "worse"
    return f"{times_exact(ratio)} {word} ({_span(low, high)})"


def _span(low: float, high: float) -> str:
    return f"{times_exact(low)} to {times_exact(high)}"


def values_of(row: Row) -> tuple[str, ...]:
    """Return the figures of a server under a load, in the order of ``HEAD``."""
    return (
        row.server.label,
        number(row.throughput),
        format_duration(row.p50),
        "-" if row.p99 is None else format_duration(row.p99),
        format_duration(row.cpu),
        f"{row.resident / _MIB:,.0f} MiB",
        f"{row.memory / _MIB:,.0f} MiB",
        f"{row.errors:,}" if row.errors else "",
    )


def head_of(load: LoadName) -> tuple[str, ...]:
    return (*HEAD, *(f"coresplit's {FIGURES[figure]}" for figure in JUDGED[load]))


def line_of(row: Row, load: LoadName) -> tuple[str, ...]:
    return (*values_of(row), *(standing_text(row.standings.get(each)) for each in JUDGED[load]))


def summary_of(rows: Sequence[Row], figure: Figure) -> str:
    """Say how many servers coresplit beats or loses to in one figure, with their names."""
    by: dict[Relation, list[str]] = {}
    for row in rows:
        if figure in row.standings:
            by.setdefault(row.standings[figure].relation, []).append(row.server.label)
    if not by:
        return f"{FIGURES[figure]}: fewer than {FEWEST_ROUNDS} rounds, nothing is said"
    texts: tuple[tuple[Relation, str], ...] = (
        ("faster", "better than"),
        ("slower", "worse than"),
        ("equivalent", "equal within 3 % to"),
        ("unclear", "too close to call against"),
    )
    # wins and losses are always named
    parts = [
        f"{text} {len(names)}"
        + (f" ({'; '.join(names)})" if len(names) <= MOST_NAMED or relation in WON_OR_LOST else "")
        for relation, text in texts
        if (names := by.get(relation))
    ]
    return f"{FIGURES[figure]}: coresplit is {listed(parts)}"


def warnings_of(comparison: Comparison) -> Iterator[str]:
    """Return the warnings that come before the figures."""
    for line in comparison.left_out:
        yield f"left out: {line}"
    if comparison.limited:
        yield (
            f"the client was the limit in {comparison.limited} of {len(comparison.turns)} turns; "
            "they are in the figures and not in the tests"
        )
    if comparison.rounds < FEWEST_ROUNDS:
        yield f"{comparison.rounds} rounds are too few to compare"


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Return a whole comparison as lines of plain text."""
    yield comparison.title
    yield ""
    yield from aligned([(f"{label}:", text) for label, text in comparison.about])
    yield from warnings_of(comparison)
    for load, rows in rows_of(comparison).items():
        yield ""
        yield f"{load} load: {comparison.loads[load]}"
        yield ""
        yield from aligned([head_of(load), *(line_of(row, load) for row in rows)])
        yield ""
        for figure in JUDGED[load]:
            yield summary_of(rows, figure)
