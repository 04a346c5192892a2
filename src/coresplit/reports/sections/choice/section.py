"""The section on which optimization to choose, and what each costs."""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.ranking import Ranking
from coresplit.analysis.rows import Row, ratio_of
from coresplit.analysis.significance import FASTER, SLOWER, by_optimization, relation
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.format import listed, on_threads, times
from coresplit.reports.document import Block, Section
from coresplit.reports.figures import Figures
from coresplit.reports.sections.choice.drawing import ChoiceMap, choice_map_spec
from coresplit.reports.sections.choice.text import BASE_NAMES, choice_table, finding_of
from coresplit.reports.sections.cost import cost_table
from coresplit.reports.wording import named


def choice_section(rankings: Sequence[Ranking], view: RunView, figures: Figures) -> Section | None:
    """Maps, lines and table of the best optimizations, and the table of their costs."""
    blocks = []
    if rankings:
        drawn = [*(_map(ranking, view, figures) for ranking in rankings), *_gains(view, figures)]
        table = choice_table(rankings, view)
        blocks.append(Block(heading="Best Optimization", figures=tuple(drawn), tables=(table,)))
    costs = cost_table(view.run, view.order)
    if costs and len(costs.lines) > 1:
        blocks.append(Block(heading="Cost of Optimizations", tables=(costs,)))
    return Section(heading="Choice", blocks=tuple(blocks)) if blocks else None


def _map(ranking: Ranking, view: RunView, figures: Figures) -> Figure:
    over = BASE_NAMES.get(view.base, view.base)
    caption = Caption(
        name="choice-best" if ranking.kind == "any" else f"choice-{ranking.kind}",
        title=f"{view.model.title}: {ranking.title}, and throughput over {over}",
        alt=f"{view.model.title} {ranking.title.title()}",
        finding=finding_of(ranking, view),
    )
    chart = ChoiceMap(
        title=caption.title, description=caption.alt, ranking=ranking, colours=figures.colours
    )
    return figures.figure(caption, choice_map_spec(chart))


def _gains(view: RunView, figures: Figures) -> list[Figure]:
    """Throughput over the baseline of every optimization, on the fewest and the most threads."""
    group = view.groups[0]
    if len(group.optimizations(view.order)) < 2:
        return []
    base = {
        (row.cell.threads, row.cell.batch): row
        for row in group.rows
        if row.cell.optimization == view.base
    }
    drawn = []
    for threads in dict.fromkeys((group.threads[0], group.threads[-1])):
        rows = [
            msgspec.structs.replace(row, derived=ratio_of(row, rival, view.claims, view.base))
            for row in group.rows
            if row.cell.threads == threads and row.cell.optimization != view.base
            if (rival := base.get((threads, row.cell.batch)))
        ]
        if rows:
            over = BASE_NAMES.get(view.base, view.base)
            caption = Caption(
                name=f"choice-gain-{threads}",
                title=f"{view.model.title}: throughput relative to {over}, {on_threads(threads)}",
                alt=f"{view.model.title} Speedup Over {over.capitalize()} Threads={threads}",
                finding=_gain_finding(rows, view, base),
            )
            drawn.append(figures.ratios(caption, rows, over, group.batches))
    return drawn


def _gain_finding(rows: list[Row], view: RunView, base: dict[tuple[int, int], Row]) -> str:
    """The largest significant gains of up to three optimizations, and those that lose somewhere."""
    threads, over = rows[0].cell.threads, BASE_NAMES.get(view.base, view.base)
    tops, slower = [], []
    for name, own in by_optimization(rows).items():
        kinds = [relation(row, base[threads, row.cell.batch], view.claims) for row in own]
        gaining = [row for row, kind in zip(own, kinds, strict=True) if kind == FASTER]
        firm = [r for r in gaining if r.derived and r.derived.verdict != "estimated"] or gaining
        tops += [max(firm, key=_value)] if firm else []
        slower += [name] if SLOWER in kinds else []
    tops.sort(key=lambda row: (-_value(row), row.cell.optimization))
    said = [f"{named(r)} {times(_value(r))} at batch {r.cell.batch}" for r in tops[:3]]
    text = (
        f"On {on_threads(threads)}, the largest gains over {over}: {listed(said)}" if said else ""
    )
    text = text or f"On {on_threads(threads)}, nothing is shown to be faster than {over}"
    return (
        f"{text}; slower than {over} at some batches: {listed(slower)}." if slower else f"{text}."
    )


def _value(row: Row) -> float:
    return row.derived.value if row.derived else 0.0
