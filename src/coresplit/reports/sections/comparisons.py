"""Sections that compare allocators and mappings cell by cell, if several were measured."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from coresplit.analysis.rows import Group, Row, ratio_of
from coresplit.analysis.significance import differs
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.heatmap import GridMap, gain_map_spec
from coresplit.charts.points import pair_records
from coresplit.format import on_threads
from coresplit.reports.document import Block, Section
from coresplit.reports.figures import Figures
from coresplit.reports.sections.scaling.text import counted
from coresplit.stats.claims import Claims

Pair = tuple[Row, Row]


class Rivalry(msgspec.Struct, frozen=True, kw_only=True):
    """Cells of one allocator or mapping, each paired with the same cell of the first one."""

    what: str
    value: str
    over: str
    where: str
    suffix: str
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """The part of file names: ``allocator-tcmalloc``, ``mapping-interleave-packed``."""
        return f"{self.what}-{self.value}{self.suffix}"


def comparison_section(
    what: Literal["mapping", "allocator"], view: RunView, figures: Figures
) -> Section | None:
    """The section on mappings or on allocators; None if there is only one."""
    found = rivalries(view, what)
    lines = tuple(figure for rivalry in found for figure in _lines(rivalry, view, figures))
    maps = tuple(figure for rivalry in found for figure in _maps(rivalry, view, figures))
    note = _note(view) if what == "allocator" else ""
    blocks = (
        Block(heading=f"{what.capitalize()} Per Batch", figures=lines, note=note),
        Block(heading=f"{what.capitalize()} Map", figures=maps),
    )
    filled = tuple(block for block in blocks if not block.empty)
    return Section(heading=f"{what.capitalize()}s", blocks=filled) if filled else None


def compared(rivalry: Rivalry, pairs: Sequence[Pair], claims: Claims) -> str:
    """In how many cells it is faster or slower, by how much, and how its page faults compare."""
    text = counted(pairs, rivalry.value, rivalry.over, claims)
    return f"{text}.{_faults(rivalry, pairs)}"


def _faults(rivalry: Rivalry, pairs: Sequence[Pair]) -> str:
    """Compare the page faults of both: per forward, summed over the cells."""
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
        return " Both cause about as many page faults."
    if not own:
        return " It causes no page faults."
    return f" It causes {said} times as many page faults per forward pass."


def rivalries(view: RunView, what: str) -> list[Rivalry]:
    """Pair every group with the first one that differs from it only in ``what``.

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


def _lines(rivalry: Rivalry, view: RunView, figures: Figures) -> Iterator[Figure]:
    """The ratio over batch, one line per optimization, on the fewest and the most threads."""
    counts = sorted({row.cell.threads for row, _ in rivalry.pairs})
    if rivalry.what == "mapping" and len(counts) > 1:
        # on one thread the mappings are the same
        counts = [count for count in counts if count > 1]
    batches = sorted({row.cell.batch for row in view.rows})
    for threads in dict.fromkeys((counts[0], counts[-1])):
        pairs = [pair for pair in rivalry.pairs if pair[0].cell.threads == threads]
        rows = [
            msgspec.structs.replace(row, derived=ratio_of(row, rival, view.claims, rivalry.over))
            for row, rival in pairs
        ]
        caption = Caption(
            name=f"{rivalry.name}-{threads}",
            title=(
                f"{view.model.title}: throughput of {rivalry.value} over {rivalry.over}, "
                f"{on_threads(threads)}{rivalry.where}"
            ),
            alt=f"{view.model.title} {rivalry.value.capitalize()} Threads={threads}",
            finding=f"On {on_threads(threads)}: {compared(rivalry, pairs, view.claims)}",
        )
        yield figures.ratios(caption, rows, rivalry.over, batches)


def _maps(rivalry: Rivalry, view: RunView, figures: Figures) -> Iterator[Figure]:
    """The ratio over threads and batch, one map per optimization.

    Allocators get maps under the first mapping only; for the others, the lines suffice.
    """
    for name in view.order if not rivalry.suffix else ():
        pairs = [pair for pair in rivalry.pairs if pair[0].cell.optimization == name]
        rows = tuple(row for row, _ in pairs)
        if len({r.cell.threads for r in rows}) < 2 or len({r.cell.batch for r in rows}) < 2:
            continue
        apart = [
            row.throughput / rival.throughput
            for row, rival in pairs
            if differs(row, rival, view.claims)
        ]
        caption = Caption(
            name=f"map-{rivalry.name}-{name}",
            title=f"{view.model.title}: gain of {rivalry.value}, {name}{rivalry.where}",
            alt=f"{view.model.title} {rivalry.value.capitalize()} Map Opt={name.capitalize()}",
            finding=f"{name}: {compared(rivalry, pairs, view.claims)}",
        )
        over = rivalry.over.removeprefix("the ").removesuffix(" allocator")
        chart = GridMap(title=caption.title, description=caption.alt, rows=rows, over=over)
        points = {"values": pair_records(pairs, view.claims)}
        yield figures.figure(caption, {**gain_map_spec(chart, apart), "data": points})


def _note(view: RunView) -> str:
    """Where to find the values of further allocators, which get no figures of their own."""
    first = view.groups[0].allocator if view.groups else "default"
    others = [name for name in dict.fromkeys(g.allocator for g in view.groups) if name != first]
    if not others:
        return ""
    return (
        f"The latency and throughput figures use {_allocator(first)}; the table of every cell "
        "has the values of the other allocators."
    )
