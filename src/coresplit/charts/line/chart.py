"""The parts of a line chart: series, scales and encodings; pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.analysis.rows import Row
from coresplit.charts.parts import vega_scale
from coresplit.charts.scales import (
    LOG_SPAN,
    Scale,
    count_scale,
    log_scale,
    span_scale,
    zero_scale,
)
from coresplit.charts.theme import HEIGHT, WIDTH, Spec
from coresplit.format import format_duration, number
from coresplit.records import Verdict

Metric = Literal["latency", "throughput", "speedup", "derived"]
Axis = Literal["t", "b"]

BANDS_UP_TO = 3
"""Intervals are drawn as bands up to this many series; more would cover each other."""
FIELDS: dict[Metric, tuple[str, str, str, str]] = {
    "latency": ("ms", "lo", "hi", "v"),
    "throughput": ("th", "tl", "tu", "v"),
    "speedup": ("sp", "sl", "su", "sv"),
    "derived": ("y", "yl", "yu", "yv"),
}
SHAPES: dict[Verdict, str] = {
    "measured": "circle",
    "light": "diamond",
    "unstable": "triangle-up",
    "estimated": "circle",
}
_SECONDS = "datum.value >= 1000 ? format(datum.value / 1000, '~r') + ' s'"
_LATENCY_LABEL = (
    f"{_SECONDS} : datum.value < 1 && datum.value > 0"
    " ? format(datum.value * 1000, '~r') + ' us' : format(datum.value, '~r') + ' ms'"
)


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line: its value of the chart's field, its label, its colour, its rows."""

    value: str | int
    label: str
    colour: str
    rows: tuple[Row, ...]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A horizontal line at a value of the y axis, such as a measured peak, and its name."""

    value: float
    label: str


class LineChart(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: a metric over threads or batch, a line for every series.

    ``field`` is the column that distinguishes series: ``o``, ``b`` or ``t``; ``heading`` is shown
    above their labels. ``log`` requests a logarithmic y axis; a speedup has one if its x axis
    has, so that ideal scaling is straight. ``lossy`` are the optimizations to draw as lossy.

    A chart of derived values has a ``unit`` for its axis, a ``suffix`` after its numbers,
    ``levels``, and ``band``: the relative width of the grey band of equivalence around 1.
    """

    title: str
    metric: Metric
    x: Axis
    field: str
    heading: str
    series: tuple[Series, ...]
    log: bool = False
    lossy: frozenset[str] = frozenset()
    unit: str = ""
    suffix: str = ""
    levels: tuple[Level, ...] = ()
    band: float = 0.0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all series."""
        return tuple(row for series in self.series for row in series.rows)


def chart_verdicts(chart: LineChart) -> tuple[Verdict, ...]:
    """Verdicts that occur among the points of a chart, most reliable first."""
    seen = {verdict_of(row, chart.metric) for row in chart.rows}
    return tuple(verdict for verdict in SHAPES if verdict in seen)


def value_of(row: Row, metric: Metric) -> tuple[float, float, float]:
    """Value, low and high of a row in the unit of the axis."""
    if metric == "latency":
        return row.point.latency * 1e3, row.point.low * 1e3, row.point.high * 1e3
    if metric == "throughput":
        return row.throughput, *row.throughput_interval
    derived = row.speedup if metric == "speedup" else row.derived
    if derived is None:
        raise ValueError(f"{row.cell} has no {metric}")
    return derived.value, derived.low, derived.high


def said(row: Row, chart: LineChart) -> str:
    """The value of a row as its direct label shows it."""
    value = value_of(row, chart.metric)[0]
    if chart.metric == "latency":
        return format_duration(value / 1e3)
    if chart.metric == "throughput":
        return number(value)
    return f"{number(value)}{chart.suffix if chart.metric == 'derived' else 'x'}"


def place_of(row: Row, axis: Axis) -> int:
    """The position of a row on the x axis."""
    return row.cell.threads if axis == "t" else row.cell.batch


def scales_of(chart: LineChart) -> tuple[Scale, Scale]:
    """The x and the y scale of a chart, in the units of its axes."""
    rows = chart.rows
    places = sorted({place_of(row, chart.x) for row in rows})
    x = count_scale(places, WIDTH, log=True if chart.x == "b" and len(places) > 1 else None)
    values = [value_of(row, chart.metric) for row in rows]
    highs = [high for _, _, high in values]
    if chart.metric == "speedup":
        ideal = max(row.cell.threads for row in rows) / base_threads(chart)
        lows = [low for _, low, _ in values]
        if chart.x == "b":
            return x, span_scale(min(1.0, *lows), max(ideal, *highs), HEIGHT)
        if x.log:
            return x, log_scale(min(lows), max(ideal, *highs), HEIGHT)
        tallest = max(highs)
        return x, zero_scale(max(min(ideal, tallest * 1.5), tallest) * 1.06, HEIGHT)
    if chart.metric == "derived":
        return x, _derived_scale(chart, values)
    if chart.log:
        return x, log_scale(min(low for _, low, _ in values), max(highs), HEIGHT)
    return x, zero_scale(max(highs) * 1.06, HEIGHT)


def _derived_scale(chart: LineChart, values: Sequence[tuple[float, float, float]]) -> Scale:
    """A log scale if the values span a large factor, else a linear one; not forced to zero."""
    marks = [level.value for level in chart.levels] + ([1.0] if chart.band else [])
    # intervals of estimates may be far wider than all values: cut them at the edge
    middles = [middle for middle, _, _ in values]
    lows = [max(low, min(middles) / 1.5) for _, low, _ in values]
    highs = [min(high, max(middles) * 1.5) for _, _, high in values]
    least, most = min([*lows, *marks]), max([*highs, *marks])
    if chart.log or most / least >= LOG_SPAN["ratio"]:
        return log_scale(least, most, HEIGHT)
    return span_scale(least, most, HEIGHT)


def base_threads(chart: LineChart) -> int:
    """The thread count that speedups are relative to."""
    return next(row.speedup.base for row in chart.rows if row.speedup)


def x_encoding(chart: LineChart, scale: Scale) -> Spec:
    """The x axis: threads or batch, labelled only at values that occur."""
    title = "threads" if chart.x == "t" else "batch (inputs per forward pass)"
    return {
        "field": chart.x,
        "type": "quantitative",
        "scale": vega_scale(scale),
        "axis": {"title": title, "values": list(scale.ticks), "format": "d"},
    }


def y_encoding(chart: LineChart, scale: Scale) -> Spec:
    """The y axis of the metric, with its unit."""
    axis: Spec = {"values": list(scale.ticks)}
    if chart.metric == "latency":
        unit = "ms, s" if scale.low < 1000 <= scale.ticks[-1] else "s"
        unit = "ms" if scale.ticks[-1] < 1000 else unit
        axis |= {"title": f"latency of one forward pass ({unit})", "labelExpr": _LATENCY_LABEL}
    elif chart.metric == "derived":
        label = f"format(datum.value, ',~r') + '{chart.suffix}'"
        axis |= {"title": chart.unit, "labelExpr": label}
    elif chart.metric == "throughput":
        # an axis format without precision would round the labels to the step of the ticks
        label = "format(datum.value, ',~r')"
        axis |= {"title": "throughput (inferences/s)", "labelExpr": label}
    else:
        over = base_threads(chart)
        base_name = "1 thread" if over == 1 else f"{over} threads"
        label = "format(datum.value, '~r') + 'x'"
        axis |= {"title": f"speedup (times {base_name})", "labelExpr": label}
    return {
        "field": FIELDS[chart.metric][0],
        "type": "quantitative",
        "scale": vega_scale(scale),
        "axis": axis,
    }


def colour(chart: LineChart) -> Spec:
    """The colour of each series; direct labels replace a legend."""
    scale = {"domain": [s.value for s in chart.series], "range": [s.colour for s in chart.series]}
    return {"field": chart.field, "type": "nominal", "scale": scale, "legend": None}


def shape(field: str) -> Spec:
    """The shape of each verdict."""
    scale = {"domain": list(SHAPES), "range": list(SHAPES.values())}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def verdict_of(row: Row, metric: Metric) -> Verdict:
    """The verdict of the value drawn: that of a speedup covers both of its cells."""
    if metric == "speedup" and row.speedup:
        return row.speedup.verdict
    return row.derived.verdict if metric == "derived" and row.derived else row.verdict
