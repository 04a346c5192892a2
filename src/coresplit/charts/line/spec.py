"""Line charts as Vega-Lite specifications, the same for page and picture; pure."""

from coresplit.charts.line.chart import (
    BANDS_UP_TO,
    LineChart,
    base_threads,
    chart_verdicts,
    scales_of,
    x_encoding,
    y_encoding,
)
from coresplit.charts.line.labels import key_layers, label_layers
from coresplit.charts.line.marks import band, points, segments, whiskers
from coresplit.charts.palette import MUTED
from coresplit.charts.parts import (
    REFERENCE,
    equivalence_band,
    layer,
    quantity,
    reference_lines,
    title_layer,
)
from coresplit.charts.scales import Scale
from coresplit.charts.theme import Spec, base


def line_spec(chart: LineChart) -> Spec:
    """The Vega-Lite specification of a line chart over the dataset ``points``."""
    x, y = scales_of(chart)
    layers: list[Spec] = []
    if chart.metric == "speedup":
        layers += _ideal(chart, x, y)
    if chart.band:
        layers.append(equivalence_band(chart.band, y))
    if chart.levels:
        layers.append(reference_lines("level", [level.value for level in chart.levels]))
    if len(chart.series) <= BANDS_UP_TO:
        layers.append(band(chart))
    layers += [segments(chart), whiskers(chart), points(chart)]
    layers += label_layers(chart, x, y)
    layers += key_layers(chart_verdicts(chart))
    layers.append(title_layer(chart.title))
    encoding = {"x": x_encoding(chart, x), "y": y_encoding(chart, y)}
    return {**base(chart.title), "encoding": encoding, "layer": layers}


def _ideal(chart: LineChart, x: Scale, y: Scale) -> list[Spec]:
    """The speedup of perfect scaling: a diagonal, or a level for each line."""
    least = base_threads(chart)
    text = {"type": "text", "fontSize": 11.5, "color": MUTED, "text": "ideal"}
    height = quantity("ideal")
    if chart.x == "b":
        levels = [float(series.value) / least for series in chart.series]
        mark = {**text, "align": "left", "baseline": "bottom", "dy": -3}
        return [
            reference_lines("ideal", levels),
            layer([{"ideal": level} for level in levels], mark, {"x": {"value": 2}, "y": height}),
        ]
    first = max(x.low, least * y.low) if y.log else least
    last = min(x.high, least * y.high)
    ends = [{"t": at, "ideal": at / least} for at in (first, last)]
    mark = {**text, "align": "right", "dx": -12, "dy": -1, "baseline": "middle"}
    return [
        layer(ends, {"type": "line", **REFERENCE}, {"y": height}),
        layer(ends[1:], mark, {"y": height}),
    ]
