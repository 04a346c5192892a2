"""Sections that compare allocators and mappings, cell by cell, where several were measured."""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.rows import Group, Row, ratio_of
from coresplit.analysis.significance import differs
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.heatmap import GridMap, gain_map_spec
from coresplit.charts.points import pair_records
from coresplit.format import on_threads
from coresplit.reports.context import Context
from coresplit.reports.document import Block, Section
from coresplit.reports.sections.scaling_text import counted
from coresplit.stats.claims import Claims

Pair = tuple[Row, Row]


class Rivalry(msgspec.Struct, frozen=True, kw_only=True):
    """Cells of one allocator or mapping with those of the first one in the same places."""

    what: str
    value: str
    over: str
    where: str
    suffix: str
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """What file names hold: ``allocator-tcmalloc``, ``mapping-interleave-packed``."""
        return f"{self.what}-{self.value}{self.suffix}"


def comparison_sections(context: Context) -> list[Section]:
    """A section for allocators and one for mappings, where there is more than one."""
    sections = []
    for what, heading, note in (
        ("mapping", "Mappings", ""),
        ("allocator", "Allocators", _note(context)),
    ):
        found = rivalries(context, what)
        lines = tuple(figure for rivalry in found for figure in _lines(rivalry, context))
        maps = tuple(figure for rivalry in found for figure in _maps(rivalry, context))
        blocks = (
            Block(heading=f"{what.capitalize()} Per Batch", figures=lines, note=note),
            Block(heading=f"{what.capitalize()} Map", figures=maps),
        )
        if filled := tuple(block for block in blocks if not block.empty):
            sections.append(Section(heading=heading, blocks=filled))
    return sections


def compared(rivalry: Rivalry, pairs: Sequence[Pair], claims: Claims) -> str:
    """In how many cells the value is faster or slower, by how much, and its page faults."""
    text = counted(pairs, rivalry.value, rivalry.over, claims)
    return f"{text}.{_faults(rivalry, pairs)}"


def _faults(rivalry: Rivalry, pairs: Sequence[Pair]) -> str:
    """Page faults of all forwards, one of each cell, over those of the other."""
    counted = [
        (row.faults, rival.faults)
        for row, rival in pairs
        if row.faults is not None and rival.faults is not None
    ]
    own, others = sum(pair[0] for pair in counted), sum(pair[1] for pair in counted)
    if not others:
        return ""
    share = own / others
    said = f"{share:.1g}" if share < 0.095 else f"{share:.2g}"
    if 0.9 < share < 1.1:
        return " Both take about as many page faults."
    return f" It takes {said} {'of the' if share < 1 else 'times the'} page faults per forward."


def rivalries(view: RunView, what: str) -> list[Rivalry]:
    """Every group against the one that differs from it in ``what`` alone and comes first.

    Mappings are compared under the first allocator only.
    """
    found = []
    for group in view.groups:
        first = next(g for g in view.groups if _rest(g, what) == _rest(group, what))
        if first is group:
            continue
        if what == "mapping" and group.allocator != view.groups[0].allocator:
            continue
        if pairs := _pairs(group, first):
            value, over = (
                (group.mapping, first.mapping)
                if what == "mapping"
                else (group.allocator, _allocator(first.allocator))
            )
            extra = [str(group.mapping)] if what == "allocator" else []
            extra = [name for name in extra if name != "sequential"]
            extra += [group.setting] if group.setting != "isolated" else []
            found.append(
                Rivalry(
                    what=what,
                    value=value,
                    over=over,
                    where=f" ({', '.join(extra)})" if extra else "",
                    suffix="".join(f"-{name}" for name in extra),
                    pairs=pairs,
                )
            )
    return found


def _rest(group: Group, what: str) -> tuple[str, str]:
    other = group.allocator if what == "mapping" else group.mapping
    return other, group.setting


def _pairs(group: Group, first: Group) -> tuple[Pair, ...]:
    rivals = {_key(row): row for row in first.rows}
    return tuple((row, rivals[_key(row)]) for row in group.rows if _key(row) in rivals)


def _key(row: Row) -> tuple[str, int, int]:
    return row.cell.optimization, row.cell.threads, row.cell.batch


def _allocator(name: str) -> str:
    return "the default allocator" if name == "default" else name


def _lines(rivalry: Rivalry, context: Context) -> list[Figure]:
    """The ratio over batch, a line for each optimization, on the fewest and the most threads."""
    counts = sorted({row.cell.threads for row, _ in rivalry.pairs})
    if rivalry.what == "mapping" and len(counts) > 1:
        # on one thread the mappings are the same
        counts = [count for count in counts if count > 1]
    figures = []
    for threads in dict.fromkeys((counts[0], counts[-1])):
        pairs = [pair for pair in rivalry.pairs if pair[0].cell.threads == threads]
        rows = [
            msgspec.structs.replace(row, derived=ratio_of(row, rival, context.claims, rivalry.over))
            for row, rival in pairs
        ]
        title = (
            f"{context.model.title}: throughput of {rivalry.value} over {rivalry.over}, "
            f"{on_threads(threads)}{rivalry.where}"
        )
        chart = context.ratio_chart(title, rows, rivalry.over)
        alt = f"{context.model.title} {rivalry.value.capitalize()} Threads={threads}"
        finding = f"On {on_threads(threads)}: {compared(rivalry, pairs, context.claims)}"
        caption = Caption(name=f"{rivalry.name}-{threads}", alt=alt, finding=finding)
        batches = sorted({row.cell.batch for row in context.rows})
        figures.append(context.derived_figure(caption, chart, batches))
    return figures


def _maps(rivalry: Rivalry, context: Context) -> list[Figure]:
    """The ratio over threads and batch, a map for each optimization.

    Allocators get them under the first mapping only: the lines tell enough of the others.
    """
    figures: list[Figure] = []
    if rivalry.suffix:
        return figures
    for name in context.order:
        pairs = [pair for pair in rivalry.pairs if pair[0].cell.optimization == name]
        rows = tuple(row for row, _ in pairs)
        if len({r.cell.threads for r in rows}) < 2 or len({r.cell.batch for r in rows}) < 2:
            continue
        apart = [
            row.throughput / rival.throughput
            for row, rival in pairs
            if differs(row, rival, context.claims)
        ]
        title = f"{context.model.title}: gain of {rivalry.value}, {name}{rivalry.where}"
        alt = f"{context.model.title} {rivalry.value.capitalize()} Map Opt={name.capitalize()}"
        over = rivalry.over.removeprefix("the ").removesuffix(" allocator")
        chart = GridMap(title=title, description=alt, rows=rows, over=over)
        points = {"values": pair_records(pairs, context.claims)}
        finding = f"{name}: {compared(rivalry, pairs, context.claims)}"
        caption = Caption(name=f"map-{rivalry.name}-{name}", alt=alt, finding=finding)
        spec = {**gain_map_spec(chart, apart), "data": points}
        figures.append(context.figure(caption, title, spec))
    return figures


def _note(context: Context) -> str:
    """Where the numbers of further allocators are: they get no figures of their own."""
    first = context.groups[0].allocator if context.groups else "default"
    others = [name for name in dict.fromkeys(g.allocator for g in context.groups) if name != first]
    if not others:
        return ""
    return (
        f"The figures of latency and throughput are those of {_allocator(first)}; "
        "the values of every other allocator stand in the table of every cell."
    )
