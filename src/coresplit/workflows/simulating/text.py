"""The results of a simulation as text."""

from collections.abc import Iterator

from coresplit.format import format_cores, format_duration, listed, number, times_exact
from coresplit.reports.loads.lines import percentile_text
from coresplit.workflows.showing.text_table import aligned
from coresplit.workflows.simulating.found import Gain, Gains, Held, Replayed, SimulateResult

_LABEL = 12


def lines_of(found: SimulateResult) -> Iterator[str]:
    """Return the results as lines."""
    yield _labelled("run", f"{found.run}, {format_cores(found.cores)}, {found.setting}")
    if found.held:
        yield from _search_lines(found)
    else:
        yield _labelled("load", f"{found.asked}; {found.rounds} rounds")
        yield ""
        yield from _table(found.rows)
        yield ""
        yield from _best_lines(found)
    speed = found.simulated_s / max(found.took_s, 1e-9)
    yield _labelled(
        "simulated",
        f"{format_duration(found.simulated_s)} of load in {format_duration(found.took_s)}: "
        f"{number(speed)} times as fast as real time",
    )


def warnings_of(found: SimulateResult) -> Iterator[str]:
    """Return warnings about the figures."""
    for row in found.rows:
        if row.refused:
            yield f"{row.name} refuses {row.refused:,.0f} requests: its queue is full"
        elif row.behind and row.kind == "fixed":
            yield f"{row.name} falls behind: its latencies grow as long as the load lasts"


def _labelled(label: str, text: str) -> str:
    return f"{label.ljust(_LABEL)}{text}"


def _table(rows: tuple[Replayed, ...]) -> Iterator[str]:
    heads = ("", "requests", "mean", "p50", "p99", "requests/s", "switches")
    yield from aligned([heads, *map(_cells, rows)])


def _cells(row: Replayed) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.requests:,.0f}",
        format_duration(row.mean),
        format_duration(row.p50),
        "-" if row.p99 is None else format_duration(row.p99),
        number(row.throughput),
        "" if row.kind == "fixed" else f"{row.switches:,.0f}",
    )


def _best_lines(found: SimulateResult) -> Iterator[str]:
    if found.close:
        names = listed([str(found.best), *found.close])
        yield _labelled("best", f"too close to call: {names}")
    elif found.ranked is not None:
        yield _labelled("best", f"{found.best}: {_said(found.ranked)}")
    else:
        yield _labelled("best", f"{found.best}, the only candidate")
    if found.adapted is not None:
        yield _labelled("adapting", _said(found.adapted))
    else:
        yield _labelled("adapting", "there is nothing to change to")
    if found.packrat is not None:
        yield _labelled("packrat", _said(found.packrat))


def _said(gains: Gains) -> str:
    return f"{', '.join(_gain(each) for each in gains.gains)}, vs {gains.other}"


def _gain(gain: Gain) -> str:
    low, high = gain.low, gain.high
    if gain.relation in ("equivalent", "unclear"):
        how = "equivalent within 3 %" if gain.relation == "equivalent" else "too close to call"
        return f"{gain.what} {how} ({times_exact(low)} to {times_exact(high)})"
    if gain.relation == "faster":
        return f"{gain.what} {times_exact(gain.ratio)} as fast{_range(low, high)}"
    return f"{gain.what} {times_exact(1 / gain.ratio)} as long{_range(1 / high, 1 / low)}"


def _range(low: float, high: float) -> str:
    return f" ({times_exact(low)} to {times_exact(high)})"


def _search_lines(found: SimulateResult) -> Iterator[str]:
    first = found.held[0].search
    what = f"{percentile_text(first.percentile)} within {format_duration(first.slo)}"
    yield _labelled("latency", what)
    yield ""
    yield from aligned([("", "holds", "fails"), *map(_held_cells, found.held)])
    yield ""
    sure = [each for each in found.held if each.search.low is not None]
    if not sure:
        yield _labelled("best", "no rate holds it")
        return
    best = max(sure, key=lambda each: each.search.low or 0.0)
    close = [each.name for each in found.held if each is not best and _reaches(each, best)]
    if close:
        yield _labelled("best", f"too close to call: {listed([best.name, *close])}")
    else:
        yield _labelled("best", best.name)


def _held_cells(held: Held) -> tuple[str, ...]:
    low, high = held.search.low, held.search.high
    return (
        held.name,
        "no rate" if low is None else f"{number(low)} requests/s",
        "-" if high is None else f"{number(high)} requests/s",
    )


def _reaches(held: Held, best: Held) -> bool:
    """True if it may hold the rate that the best one holds."""
    high, low = held.search.high, best.search.low
    return high is None or low is None or high > low
