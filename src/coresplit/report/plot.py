"""What a line chart is made of: its series, its scales and its encodings; pure."""

from typing import Literal

import msgspec

from coresplit.records import Verdict
from coresplit.report.scales import Scale, count_scale, log_scale, span_scale, zero_scale
from coresplit.report.table import Row
from coresplit.report.theme import HEIGHT, WIDTH, Spec

Metric = Literal["latency", "throughput", "speedup"]
Axis = Literal["t", "b"]

BANDS_UP_TO = 3
"""Most series whose intervals are drawn as bands; more would cover each other."""
FIELDS: dict[Metric, tuple[str, str, str, str]] = {
    "latency": ("ms", "lo", "hi", "v"),
    "throughput": ("th", "tl", "tu", "v"),
    "speedup": ("sp", "sl", "su", "sv"),
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
    """One line: the value of the field that tells it apart, its label, its colour, its rows."""

    value: str | int
    label: str
    colour: str
    rows: tuple[Row, ...]


class LineChart(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: a metric over threads or batch, a line for every series.

    ``field`` is the column that tells series apart: ``o``, ``b`` or ``t``; ``heading`` stands
    above their labels. ``log`` asks for a logarithmic y axis; a speedup has one where its x axis
    has, so that ideal scaling is straight.
    """

    title: str
    description: str
    metric: Metric
    x: Axis
    field: str
    heading: str
    series: tuple[Series, ...]
    log: bool = False


def chart_verdicts(chart: LineChart) -> tuple[Verdict, ...]:
    """Verdicts that occur among the points of a chart, firmest first."""
    seen = {verdict_of(row, chart.metric) for series in chart.series for row in series.rows}
    return tuple(verdict for verdict in SHAPES if verdict in seen)


def value_of(row: Row, metric: Metric) -> tuple[float, float, float]:
    """Value, low and high of a row in the unit of the axis."""
    if metric == "latency":
        return row.point.latency * 1e3, row.point.low * 1e3, row.point.high * 1e3
    if metric == "throughput":
        return row.throughput, *row.throughput_interval
    if row.speedup is None:
        raise ValueError(f"{row.cell} has no speedup")
    return row.speedup.value, row.speedup.low, row.speedup.high


def place_of(row: Row, axis: Axis) -> int:
    """Where a row stands on the x axis."""
    return row.cell.threads if axis == "t" else row.cell.batch


def scales_of(chart: LineChart) -> tuple[Scale, Scale]:
    """The x and the y scale of a chart, in the units of its axes."""
    rows = [row for series in chart.series for row in series.rows]
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
    if chart.log:
        return x, log_scale(min(low for _, low, _ in values), max(highs), HEIGHT)
    return x, zero_scale(max(highs) * 1.06, HEIGHT)


def base_threads(chart: LineChart) -> int:
    """The thread count that speedups are relative to."""
    return next(row.speedup.base for s in chart.series for row in s.rows if row.speedup)


def x_encoding(chart: LineChart, scale: Scale) -> Spec:
    """The x axis: threads or batch, labelled only at values that occur."""
    title = "threads" if chart.x == "t" else "batch (inputs per forward)"
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
        axis |= {"title": f"latency of one forward ({unit})", "labelExpr": _LATENCY_LABEL}
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


def vega_scale(scale: Scale) -> Spec:
    """A scale as Vega-Lite has it, with exactly this domain."""
    kind = {"type": "log", "base": 10} if scale.log else {"type": "linear", "zero": False}
    return {**kind, "domain": [scale.low, scale.high], "nice": False}


def colour(chart: LineChart) -> Spec:
    """The colour of each series; direct labels stand in for a legend."""
    scale = {"domain": [s.value for s in chart.series], "range": [s.colour for s in chart.series]}
    return {"field": chart.field, "type": "nominal", "scale": scale, "legend": None}


def shape(field: str) -> Spec:
    """The shape of each verdict."""
    scale = {"domain": list(SHAPES), "range": list(SHAPES.values())}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def pixel(field: str) -> Spec:
    """A position given in pixels, not in the units of an axis."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def verdict_of(row: Row, metric: Metric) -> Verdict:
    """The verdict of the value drawn: that of a speedup covers both of its cells."""
    return row.speedup.verdict if metric == "speedup" and row.speedup else row.verdict
