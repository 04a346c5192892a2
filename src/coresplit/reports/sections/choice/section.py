"""The section on which optimization to choose, and what each of them costs."""

import msgspec

from coresplit.analysis.ranking import Ranking, rankings_of
from coresplit.analysis.rows import Row, ratio_of
from coresplit.analysis.significance import FASTER, SLOWER, by_optimization, relation
from coresplit.charts.figure import Caption, Figure
from coresplit.format import listed, on_threads, times
from coresplit.reports.context import Context
from coresplit.reports.document import Block, Fact, Section
from coresplit.reports.sections.choice.drawing import ChoiceMap, choice_map_spec
from coresplit.reports.sections.choice.text import (
    BASE_NAMES,
    choice_table,
    facts_of_choice,
    finding_of,
)
from coresplit.reports.sections.cost import cost_table
from coresplit.reports.wording import named


def choice_section(context: Context) -> tuple[Section | None, tuple[Fact, ...]]:
    """Maps, lines and table of the best, the table of costs, and the facts to show first."""
    rankings = rankings_of(context)
    blocks = []
    if rankings:
        figures = [*(_map(ranking, context) for ranking in rankings), *_gains(context)]
        table = choice_table(rankings, context)
        blocks.append(Block(heading="Best Optimization", figures=tuple(figures), tables=(table,)))
    costs = cost_table(context.run, context.order)
    if costs and len(costs.lines) > 1:
        blocks.append(Block(heading="Cost of Optimizations", tables=(costs,)))
    section = Section(heading="Choice", blocks=tuple(blocks)) if blocks else None
    return section, facts_of_choice(rankings, context)


def _map(ranking: Ranking, context: Context) -> Figure:
    over = BASE_NAMES.get(context.base, context.base)
    title = f"{context.model.title}: {ranking.title}, and throughput over {over}"
    alt = f"{context.model.title} {ranking.title.title()}"
    chart = ChoiceMap(
        title=title, description=alt, ranking=ranking, colours=context.colours, over=over
    )
    name = "choice-best" if ranking.kind == "any" else f"choice-{ranking.kind}"
    caption = Caption(name=name, alt=alt, finding=finding_of(ranking, context))
    return context.figure(caption, title, choice_map_spec(chart))


def _gains(context: Context) -> list[Figure]:
    """Throughput over the baseline of every optimization, on the fewest and the most threads."""
    group = context.groups[0]
    if len(group.optimizations(context.order)) < 2:
        return []
    base = {
        (row.cell.threads, row.cell.batch): row
        for row in group.rows
        if row.cell.optimization == context.base
    }
    figures = []
    for threads in dict.fromkeys((group.threads[0], group.threads[-1])):
        rows = [
            msgspec.structs.replace(row, derived=ratio_of(row, rival, context.claims, context.base))
            for row in group.rows
            if row.cell.threads == threads and row.cell.optimization != context.base
            if (rival := base.get((threads, row.cell.batch)))
        ]
        if rows:
            figures.append(_gain(rows, context, base))
    return figures


def _gain(rows: list[Row], context: Context, base: dict[tuple[int, int], Row]) -> Figure:
    threads, over = rows[0].cell.threads, BASE_NAMES.get(context.base, context.base)
    title = f"{context.model.title}: throughput over that of {over}, {on_threads(threads)}"
    chart = context.ratio_chart(title, rows, over)
    alt = f"{context.model.title} Speedup Over {over.capitalize()} Threads={threads}"
    caption = Caption(
        name=f"choice-gain-{threads}", alt=alt, finding=_gain_finding(rows, context, base)
    )
    return context.derived_figure(caption, chart, context.groups[0].batches)


def _gain_finding(rows: list[Row], context: Context, base: dict[tuple[int, int], Row]) -> str:
    """The widest shown gain of the leading optimizations, and those that lose somewhere."""
    threads, over = rows[0].cell.threads, BASE_NAMES.get(context.base, context.base)
    tops, slower = [], []
    for name, own in by_optimization(rows).items():
        kinds = [relation(row, base[threads, row.cell.batch], context.claims) for row in own]
        gaining = [row for row, kind in zip(own, kinds, strict=True) if kind == FASTER]
        firm = [r for r in gaining if r.derived and r.derived.verdict != "estimated"] or gaining
        tops += [max(firm, key=_value)] if firm else []
        slower += [name] if SLOWER in kinds else []
    tops.sort(key=lambda row: (-_value(row), row.cell.optimization))
    said = [f"{named(r)} {times(_value(r))} at batch {r.cell.batch}" for r in tops[:3]]
    text = f"On {on_threads(threads)}, times {over} at most: {listed(said)}" if said else ""
    text = text or f"On {on_threads(threads)}, nothing is shown to be faster than {over}"
    return f"{text}; slower than {over} somewhere: {listed(slower)}." if slower else f"{text}."


def _value(row: Row) -> float:
    return row.derived.value if row.derived else 0.0
