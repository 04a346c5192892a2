"""How far a run is from the peak of its cores, and when memory bandwidth would limit it.

The comparison with a measured product is one side of the roofline (Williams, Waterman &
Patterson, "Roofline: An Insightful Visual Performance Model", CACM 52(4), 2009). Its other axis
needs the bytes that a forward moves. Only a lower bound of them is known, so no roofline is drawn:
every point would be too far to the right. The ridge and the bound are stated in words.
"""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.rows import Derived, Row
from coresplit.analysis.significance import busiest, by_optimization
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.line.chart import Level, LineChart
from coresplit.charts.scales import LOG_SPAN
from coresplit.format import number, on_threads, percent
from coresplit.records import ModelInfo, Peak
from coresplit.reports.document import Block, Line, Section, Table
from coresplit.reports.figures import Figures
from coresplit.reports.sections.cost import number_type
from coresplit.reports.wording import doubt, named

GIGA = 1e9
BYTES = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Bytes of an input number by type; 4 for any other type."""
ABOUT_PEAK = (
    "The peak is the rate of a large matrix product on the same cores before the sweep, in the "
    "number type of the optimization. Better kernels or a quieter machine can exceed it."
)
COLUMNS = (
    "optimization", "threads", "best batch", "GFLOP/s", "number type", "peak (GFLOP/s)",
    "share of peak",
)  # fmt: skip


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The measured peaks of some threads: operations per second by number type, copied bytes."""

    matmul_flops: dict[str, float]
    memory_bandwidth: float


def distance_section(view: RunView, figures: Figures) -> Section | None:
    """Achieved operations per second against the peak; None if either is unknown."""
    limits = _limits(view)
    if not (view.groups and view.model.flops and limits):
        return None
    group = view.groups[0]
    rows = [row for row in group.rows if row.cell.threads in limits]
    if not rows:
        return None
    counts = sorted({row.cell.threads for row in rows})
    shown = dict.fromkeys((counts[0], counts[-1]))
    drawn = tuple(
        _chart([row for row in rows if row.cell.threads == count], limits[count], view, figures)
        for count in shown
    )
    block = Block(
        heading="Operations Per Second",
        figures=drawn,
        tables=(_table(rows, limits, view),),
        note=f"{ABOUT_PEAK} {_ridge(limits[counts[-1]], counts[-1], view.model)}".strip(),
    )
    return Section(heading="Distance to the Machine", blocks=(block,))


def _limits(view: RunView) -> dict[int, Limits]:
    """Peaks of the first group's mapping by threads; the best of several that were measured."""
    mapping = view.groups[0].mapping if view.groups else "sequential"
    found: dict[int, Limits] = {}
    for entry in view.run.journal:
        if not isinstance(entry, Peak) or entry.mapping != mapping:
            continue
        before = found.get(entry.threads, Limits(matmul_flops={}, memory_bandwidth=0.0))
        matmul_flops = {
            kind: max(entry.matmul_flops.get(kind, 0.0), before.matmul_flops.get(kind, 0.0))
            for kind in {**before.matmul_flops, **entry.matmul_flops}
        }
        found[entry.threads] = Limits(
            matmul_flops={kind: rate for kind, rate in matmul_flops.items() if rate > 0},
            memory_bandwidth=max(entry.memory_bandwidth, before.memory_bandwidth),
        )
    return found


def _achieved(row: Row, model: ModelInfo) -> Derived:
    """Operations per second of a cell in units of 1e9."""
    low, high = row.throughput_interval
    scale = model.flops / GIGA
    return Derived(
        value=row.throughput * scale,
        low=low * scale,
        high=high * scale,
        verdict=row.verdict,
        reason=row.reason,
    )


def _chart(rows: Sequence[Row], limits: Limits, view: RunView, figures: Figures) -> Figure:
    drawn = [msgspec.structs.replace(row, derived=_achieved(row, view.model)) for row in rows]
    series = figures.series(view.order, drawn)
    kinds = dict.fromkeys(number_type(view.run, str(one.value)) for one in series)
    levels = tuple(
        Level(value=limits.matmul_flops[kind] / GIGA, label=f"{kind} peak")
        for kind in kinds
        if kind in limits.matmul_flops
    )
    values = [row.derived.value for row in drawn if row.derived]
    values += [level.value for level in levels]
    threads = rows[0].cell.threads
    caption = Caption(
        name=f"operations-{threads}",
        title=f"{view.model.title}: operations per second, {on_threads(threads)}",
        alt=f"{view.model.title} Operations Threads={threads}",
        finding=_finding(rows, limits, view),
    )
    chart = LineChart(
        title=caption.title,
        metric="derived",
        x="b",
        field="o",
        heading="optimization",
        series=series,
        log=max(values) / min(values) >= LOG_SPAN["ratio"],
        lossy=view.lossy,
        unit="operations per second (GFLOP/s)",
        levels=levels,
    )
    return figures.derived(caption, chart, view.groups[0].batches)


def _finding(rows: Sequence[Row], limits: Limits, view: RunView) -> str:
    """The optimization closest to the peak of its own number type, and the baseline."""
    shares = []
    for name, own in by_optimization(rows).items():
        top = _best(own)
        peak = limits.matmul_flops.get(number_type(view.run, name))
        if peak:
            shares.append((top.throughput * view.model.flops / peak, top))
    threads = on_threads(rows[0].cell.threads)
    if not shares:
        return f"On {threads}: no peak was measured for the number types in use."
    shares.sort(key=lambda pair: (-pair[0], pair[1].cell))
    parts = [_said(*shares[0], view)]
    parts += [_said(*p, view) for p in shares[1:] if p[1].cell.optimization == view.base]
    return f"On {threads}: {'; '.join(parts)}."


def _said(share: float, row: Row, view: RunView) -> str:
    kind = number_type(view.run, row.cell.optimization)
    work = f"{number(row.throughput * view.model.flops / GIGA)} GFLOP/s"
    where = f"at batch {row.cell.batch}{doubt(row.verdict)}"
    return f"{named(row)} reaches {work} {where}, {percent(share)} of the {kind} peak"


def _table(rows: Sequence[Row], limits: dict[int, Limits], view: RunView) -> Table:
    lines = []
    for name in view.order:
        own = [row for row in rows if row.cell.optimization == name]
        kind = number_type(view.run, name)
        said = f"{name} (lossy)" if name in view.lossy else name
        for threads in sorted({row.cell.threads for row in own}):
            top = _best([row for row in own if row.cell.threads == threads])
            work = top.throughput * view.model.flops
            peak = limits[threads].matmul_flops.get(kind)
            batch = f"{top.cell.batch}{doubt(top.verdict)}"
            texts = (
                said, str(threads), batch, number(work / GIGA), kind,
                number(peak / GIGA) if peak else "not measured",
                percent(work / peak) if peak else "",
            )  # fmt: skip
            share = work / peak if peak else None
            keys = (name, threads, top.cell.batch, work, kind, peak, share)
            kinds = "lossy" if name in view.lossy else ""
            lines.append(Line(texts=texts, keys=keys, kind=kinds))
    summary = "The best cell of each optimization and thread count, and its share of the peak"
    return Table(summary=summary, head=COLUMNS, lines=tuple(lines), sortable=True)


def _best(rows: Sequence[Row]) -> Row:
    return busiest([row for row in rows if row.verdict != "estimated"] or rows)


def _ridge(limits: Limits, threads: int, model: ModelInfo) -> str:
    """The operations per byte above which work is compute-bound, and the model's bound on them."""
    peak = limits.matmul_flops.get("float32")
    if not (peak and limits.memory_bandwidth):
        return ""
    ridge = peak / limits.memory_bandwidth
    reach, copy = ("reaches", "copies") if threads == 1 else ("reach", "copy")
    text = (
        f"{on_threads(threads)} {reach} up to {number(peak / GIGA)} GFLOP/s in float32 and {copy} "
        f"{number(limits.memory_bandwidth / GIGA)} GB/s, so work is compute-bound above "
        f"{number(ridge)} operations per byte and memory-bound below."
    )
    inputs = sum(_size(shape.shape) * BYTES.get(shape.dtype, 4) for shape in model.inputs)
    least = 4 * model.parameters + inputs
    if not (model.parameters and inputs):
        return text
    bound = model.flops / least
    if bound < ridge:
        return (
            f"{text} Reading only the weights and inputs limits batch 1 to {number(bound)} "
            "operations per byte, so that forward pass is memory-bound."
        )
    return (
        f"{text} Weights and inputs alone would allow {number(bound)} operations per byte at batch "
        "1, but a forward pass also moves its activations, which are not counted, so no roofline "
        "is drawn."
    )


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
