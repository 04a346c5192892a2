"""Build the page of a load test; pure."""

from collections.abc import Sequence

import msgspec

from coresplit.charts.figure import Caption, Figure
from coresplit.format import format_duration, number, percent
from coresplit.records.load import LoadResult, LoadRun, LoadSearch
from coresplit.reports.document import Block, Fact, Line, Section, Table
from coresplit.reports.loads import drawing
from coresplit.reports.loads.lines import (
    compared_text,
    difference_text,
    latencies,
    limit_of,
    percentile_text,
    place_of,
    result_lines,
    search_lines,
)
from coresplit.reports.wording import date

_READING = (
    "Latency counts from when a request was due, not from when it was sent, so the time that "
    "requests wait for a stalled server is included. A second covers the requests due in it; "
    "answers are counted when they arrive. The band above a figure shows the server's split."
)


class LoadDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the page."""

    title: str
    created: str
    sentence: str
    facts: tuple[Fact, ...]
    about: tuple[tuple[str, str], ...]
    reading: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    version: str

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures in page order."""
        return tuple(
            f for section in self.sections for block in section.blocks for f in block.figures
        )


def load_document(result: LoadResult) -> LoadDocument:
    """Build the page of a run, of a comparison or of a search."""
    lines = list(result_lines(result))
    warned = tuple(line.removeprefix("warning: ") for line in lines if line.startswith("warning:"))
    if result.search is not None:
        title, facts, sections = _of_search(result, result.search)
    elif len(result.targets) > 1:
        title, facts, sections = _of_comparison(result)
    else:
        title, facts, sections = _of_run(result.runs)
    return LoadDocument(
        title=title,
        created=date(result.created_at),
        sentence=", ".join(f"{url} ({described})" for url, described in result.targets),
        facts=facts,
        about=_about(result),
        reading=_READING,
        warnings=(*(["Ended by the user."] if result.interrupted else ()), *warned),
        sections=tuple(section for section in sections if section.blocks),
        version=result.version,
    )


def _of_run(runs: Sequence[LoadRun]) -> tuple[str, tuple[Fact, ...], list[Section]]:
    if not runs:
        return "Load", (), []
    (run,) = runs
    return "Load of a server", _facts(run), [_timeline(run, "run"), _latencies(run), _seconds(run)]


def _facts(run: LoadRun) -> tuple[Fact, ...]:
    whose = "" if not run.generator.limit else " of the generator"
    facts = [
        Fact(
            label="Throughput",
            value=f"{number(run.throughput)} requests/s",
            note=f"{run.answered:,} of {run.due:,} answered",
        )
    ]
    if run.latency is not None:
        note = "from the intended start" if not whose else "the generator was the bottleneck"
        for label, value in (("p50", run.latency.p50), ("p99", run.latency.p99)):
            if value is not None:
                facts.append(
                    Fact(label=f"Latency{whose}, {label}", value=format_duration(value), note=note)
                )
    errors = ", ".join(f"{kind}: {count:,}" for kind, count in run.errors.items())
    facts.append(Fact(label="Failed", value=f"{run.failed:,}", note=errors or "no error"))
    return tuple(facts)


def _timeline(run: LoadRun, name: str) -> Section:
    rates = Caption(
        name=f"{name}-rates",
        title="Requests over time",
        alt="Requests due and answered in every second",
        finding=f"{number(run.throughput)} requests/s were answered of "
        f"{number(run.due / run.window_s if run.window_s else 0.0)} that were due.",
    )
    figures: list[Figure | None] = [drawing.rates_over_time(run, rates)]
    worst = max(
        (each for each in run.seconds if each.max), key=lambda e: e.max or 0.0, default=None
    )
    if worst is not None:
        caption = Caption(
            name=f"{name}-latency",
            title="Latency over time",
            alt="Percentiles of the latency in every second",
            finding=f"The longest request was due in second {worst.at + 1} and took "
            f"{format_duration(worst.max or 0.0)}.",
        )
        figures.append(drawing.latency_over_time(run, caption))
    shown = tuple(filter(None, figures))
    return Section(heading="Over Time", blocks=(Block(heading=run.asked, figures=shown),))


def _latencies(run: LoadRun) -> Section:
    if run.latency is None:
        return Section(heading="Latency", blocks=())
    caption = Caption(
        name="distribution",
        title="Latency by share of the requests",
        alt="The latency that each share of the requests stays within",
        finding=f"Of {run.latency.count:,} answers: {', '.join(latencies(run.latency))}.",
    )
    drawn = drawing.distribution([(run, "", drawing.P99)], caption)
    figures = (drawn,) if drawn else ()
    return Section(heading="Latency", blocks=(Block(heading="Distribution", figures=figures),))


def _seconds(run: LoadRun) -> Section:
    head = ("second", "due", "answered", "failed", "p50", "p99", "max", "in flight at end",
            "generator CPU", "generator lag")  # fmt: skip
    lines = []
    for each in run.seconds:
        values = (each.p50, each.p99, each.max)
        texts = (
            str(each.at + 1),
            f"{each.due:,}",
            f"{each.answers:,}",
            f"{each.failed:,}",
            *("" if value is None else format_duration(value) for value in values),
            f"{each.open:,}",
            percent(each.cpu),
            format_duration(each.lag) if each.lag else "",
        )
        keys = (
            each.at,
            each.due,
            each.answers,
            each.failed,
            *values,
            each.open,
            each.cpu,
            each.lag,
        )
        lines.append(Line(texts=texts, keys=keys, kind="failed" if each.failed else ""))
    table = Table(
        summary="Every second", head=head, lines=tuple(lines), sortable=True, open_up_to=60
    )
    return Section(heading="Numbers", blocks=(Block(heading="By second", tables=(table,)),))


def _of_comparison(result: LoadResult) -> tuple[str, tuple[Fact, ...], list[Section]]:
    runs = result.runs[::2], result.runs[1::2]
    facts = tuple(
        Fact(label=each.what, value=_ratio(each.relation, each.ratio), note=difference_text(each))
        for each in result.compared
    )
    figures = []
    for what, latency in (("p50", True), ("p99", True), ("throughput", False)):
        said = next((compared_text(each) for each in result.compared if each.what == what), "")
        values = [[_value(run, what) for run in own] for own in runs]
        caption = Caption(
            name=f"rounds-{what}",
            title=f"{what} by round",
            alt=f"{what} of both servers in every round",
            finding=said or "Not compared: some rounds have no value.",
        )
        figures.append(drawing.by_round(values[0], values[1], caption, latency=latency))
    caption = Caption(
        name="distributions",
        title="Latency by share of the requests",
        alt="The latency that each share of the requests stays within, by round",
        finding="One line per round; the first server is blue, the second is orange.",
    )
    colours = (drawing.FIRST, drawing.SECOND)
    every = [(run, "", colours[which]) for which, own in enumerate(runs) for run in own]
    shown = drawing.distribution(every, caption)
    blocks = (
        Block(heading="By round", figures=tuple(filter(None, figures))),
        Block(heading="Distributions", figures=(shown,) if shown else ()),
    )
    section = Section(heading="Rounds", blocks=tuple(b for b in blocks if not b.empty))
    return "Two servers", facts, [section, _table_of_runs(result.runs, ("first", "second"))]


def _of_search(
    result: LoadResult, found: LoadSearch
) -> tuple[str, tuple[Fact, ...], list[Section]]:
    first, second, *_ = search_lines(found)
    what = f"{percentile_text(found.percentile)} within {format_duration(found.slo)}"
    low = "none" if found.low is None else f"{number(found.low)} requests/s"
    high = "no limit found" if found.high is None else f"fails at {number(found.high)} requests/s"
    facts = (
        Fact(label="Highest rate", value=low, note=what),
        Fact(label="Limit", value=found.limit, note=high),
    )
    caption = Caption(
        name="trials",
        title=f"{percentile_text(found.percentile)} by rate",
        alt="The percentile of every trial by its rate",
        finding=f"{first[0].upper()}{first[1:]}. Hollow points are trials that failed.",
    )
    figure = drawing.trials_of(found, result.runs, caption)
    sections = [
        Section(
            heading="Trials",
            blocks=(Block(heading=second, figures=(figure,)),) if figure else (),
        )
    ]
    best = [
        run
        for run, trial in zip(result.runs, found.trials, strict=False)
        if trial.rate == found.low and trial.held
    ]
    sections += [_timeline(best[-1], "best"), _latencies(best[-1])] if best else []
    return f"Highest rate with {what}", facts, [*sections, _table_of_runs(result.runs, ("",))]


def _table_of_runs(runs: Sequence[LoadRun], names: Sequence[str]) -> Section:
    head = ("load", "server", "due", "answered", "failed", "requests/s", "p50", "p90", "p99",
            "p99.9", "max", "bottleneck")  # fmt: skip
    lines = []
    for place, run in enumerate(runs):
        found = run.latency
        fields = ("p50", "p90", "p99", "p999", "max")
        values = [getattr(found, name) if found else None for name in fields]
        texts = (
            run.asked,
            names[place % len(names)],
            f"{run.due:,}",
            f"{run.answered:,}",
            f"{run.failed:,}",
            number(run.throughput),
            *("" if value is None else format_duration(value) for value in values),
            "generator" if run.generator.limit else "",
        )
        lines.append(Line(texts=texts, kind="failed" if run.failed else ""))
    table = Table(summary="Every load", head=head, lines=tuple(lines), open_up_to=60)
    blocks = (Block(heading="By load", tables=(table,)),) if lines else ()
    return Section(heading="Numbers", blocks=blocks)


def _about(result: LoadResult) -> tuple[tuple[str, str], ...]:
    pairs = [("Server" if len(result.targets) < 2 else f"Server {place}", f"{url}, {described}")
             for place, (url, described) in enumerate(result.targets, start=1)]  # fmt: skip
    if result.runs:
        run = result.runs[0]
        pairs += [("Load", run.asked)] if result.search is None else []
        pairs.append(("Generator", limit_of(run) or place_of(run.generator)))
        seen = " → ".join(drawing.split_text(each.instances, each.split) for each in run.splits)
        pairs.append(("Instances", seen or "not stated"))
    return tuple(pairs)


def _ratio(relation: str, ratio: float) -> str:
    if relation == "faster":
        return f"first {number(ratio)}x"
    if relation == "slower":
        return f"second {number(1 / ratio)}x"
    return "equivalent" if relation == "equivalent" else "too close to call"


def _value(run: LoadRun, what: str) -> float | None:
    if what == "throughput":
        return run.throughput
    return getattr(run.latency, what) if run.latency else None
