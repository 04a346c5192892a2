"""Line charts as Vega-Lite specifications: one for the page and the picture alike; pure."""

from coresplit.charts.line.chart import (
    BANDS_UP_TO,
    LineChart,
    base_threads,
    chart_verdicts,
    scales_of,
    x_encoding,
    y_encoding,
)
from coresplit.charts.line.labels import key_layers, label_layers, title_layer
from coresplit.charts.line.marks import band, points, segments, whiskers
from coresplit.charts.palette import MUTED
from coresplit.charts.scales import Scale
from coresplit.charts.theme import Spec, base


def line_spec(chart: LineChart) -> Spec:
    """The Vega-Lite specification of a line chart over the dataset ``points``."""
    x, y = scales_of(chart)
    layers: list[Spec] = []
    if chart.metric == "speedup":
        layers += _ideal(chart, x, y)
    if chart.band:
        layers.append(_tied(chart, y))
    layers += _levels(chart)
    if len(chart.series) <= BANDS_UP_TO:
        layers.append(band(chart))
    layers += [segments(chart), whiskers(chart), points(chart)]
    layers += label_layers(chart, x, y)
    layers += key_layers(chart_verdicts(chart))
    layers.append(title_layer(chart.title))
    encoding = {"x": x_encoding(chart, x), "y": y_encoding(chart, y)}
    return {**base(chart.title), "encoding": encoding, "layer": layers}


def _tied(chart: LineChart, y: Scale) -> Spec:
    """The grey band about 1 in which no difference is named."""
    top, bottom = min(1 + chart.band, y.high), max(1 / (1 + chart.band), y.low)
    return {
        "data": {"values": [{"low": bottom, "high": top}]},
        "mark": {"type": "rect", "color": "#e9ecf0", "clip": True, "aria": False},
        "encoding": {
            "x": {"value": 0},
            "x2": {"value": "width"},
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
        },
    }


def _levels(chart: LineChart) -> list[Spec]:
    """Horizontal lines, which the labels at the right name."""
    if not chart.levels:
        return []
    line = {"type": "rule", "stroke": "#9aa5b1", "strokeDash": [2, 4], "strokeWidth": 1.6}
    y_field = {"field": "level", "type": "quantitative"}
    return [
        {
            "data": {"values": [{"level": level.value} for level in chart.levels]},
            "mark": line,
            "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "y": y_field},
        }
    ]


def _ideal(chart: LineChart, x: Scale, y: Scale) -> list[Spec]:
    """The speedup that perfect scaling would give: a diagonal, or a level for each line."""
    least = base_threads(chart)
    line = {"type": "line", "stroke": "#9aa5b1", "strokeDash": [2, 4], "strokeWidth": 1.6}
    text = {"type": "text", "fontSize": 11.5, "color": MUTED, "text": "ideal"}
    y_field = {"field": "ideal", "type": "quantitative"}
    if chart.x == "b":
        levels = [{"ideal": float(series.value) / least} for series in chart.series]
        return [
            {
                "data": {"values": levels},
                "mark": {**line, "type": "rule"},
                "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "y": y_field},
            },
            {
                "data": {"values": levels},
                "mark": {**text, "align": "left", "baseline": "bottom", "dy": -3},
                "encoding": {"x": {"value": 2}, "y": y_field},
            },
        ]
    first = max(x.low, least * y.low) if y.log else least
    last = min(x.high, least * y.high)
    ends = [{"t": at, "ideal": at / least} for at in (first, last)]
    return [
        {"data": {"values": ends}, "mark": line, "encoding": {"y": y_field}},
        {
            "data": {"values": ends[1:]},
            "mark": {**text, "align": "right", "dx": -12, "dy": -1, "baseline": "middle"},
            "encoding": {"y": y_field},
        },
    ]
