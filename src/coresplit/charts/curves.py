"""Curves over a numeric axis as Vega-Lite: lines or points with embedded values; pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.charts.palette import INK, MUTED, PAPER, as_text, tint
from coresplit.charts.parts import (
    BOX,
    REFERENCE,
    given,
    inked,
    layer,
    pixel,
    quantity,
    short,
    title_layer,
    tooltip,
    vega_scale,
)
from coresplit.charts.scales import Scale, spread
from coresplit.charts.theme import HEIGHT, WIDTH, Spec, base

LATENCY_LABEL = (
    "datum.value >= 1000 ? format(datum.value / 1000, '~r') + ' s'"
    " : datum.value < 1 && datum.value > 0"
    " ? format(datum.value * 1000, '~r') + ' us' : format(datum.value, '~r') + ' ms'"
)
"""Labels of an axis of milliseconds."""
NUMBER_LABEL = "format(datum.value, ',~r')"
_CROWDED = 120
_BAND = (-17.0, -3.0)
"""The vertical extent of the spans, in pixels above the plot."""
_LABEL = {"type": "text", "align": "left", "baseline": "middle", "dx": 4, "fontSize": 12}


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one colour, single or joined to a line that breaks where y is None.

    ``hollow`` has the indices of points that are drawn hollow. Without a name it has no label.
    """

    name: str
    colour: str
    points: tuple[tuple[float, float | None], ...]
    mark: Literal["line", "points"] = "line"
    hollow: frozenset[int] = frozenset()
    thin: bool = False


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the x axis with a name, in the band above the plot."""

    low: float
    high: float
    label: str


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """An axis: its title, its scale, and the Vega expression of its labels."""

    title: str
    scale: Scale
    labels: str = NUMBER_LABEL


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """A chart of curves; ``levels`` are named horizontal lines, ``shade`` a grey stretch."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    levels: tuple[tuple[float, str], ...] = ()
    spans: tuple[Span, ...] = ()
    shade: Span | None = None


def curves_spec(chart: Curves) -> Spec:
    """The Vega-Lite specification with embedded points."""
    layers: list[Spec] = []
    if chart.shade is not None:
        layers += _shade(chart.shade)
    if chart.spans:
        layers += _band(chart)
    if chart.levels:
        layers += _levels(chart)
    layers += [one for curve in chart.curves for one in _curve(chart, curve)]
    layers += [*_labels(chart), title_layer(chart.title)]
    encoding = {"x": _axis("x", chart.x), "y": _axis("y", chart.y)}
    return {**base(chart.title), "data": {"values": []}, "encoding": encoding, "layer": layers}


def _axis(field: str, axis: Axis) -> Spec:
    shown = {"title": axis.title, "values": list(axis.scale.ticks), "labelExpr": axis.labels}
    return {**quantity(field), "scale": vega_scale(axis.scale), "axis": shown}


def _curve(chart: Curves, curve: Curve) -> list[Spec]:
    rows, stretch = [], 0
    for place, (x, y) in enumerate(curve.points):
        if y is None:
            stretch += 1
            continue
        inside = min(max(y, chart.y.scale.low), chart.y.scale.high)
        rows.append(
            {
                "x": short(x),
                "y": short(inside),
                "s": stretch,
                "fill": PAPER if place in curve.hollow else curve.colour,
                "c": curve.name,
                "at": f"{short(x):g}",
                "said": f"{short(y):,g}",
            }
        )
    told = tooltip([("c", "what"), ("at", chart.x.title), ("said", chart.y.title)])
    size = 14 if len(rows) > _CROWDED else 34
    dots = {
        "type": "point",
        "size": size,
        "opacity": 1,
        "stroke": curve.colour,
        "strokeWidth": 1.2,
    }
    drawn: list[Spec] = []
    if curve.mark == "line":
        line = {
            "type": "line",
            "color": curve.colour,
            "strokeWidth": 1.2 if curve.thin else 2,
            "aria": False,
        }
        drawn.append(layer(rows, line, {"detail": {"field": "s"}}))
    if not curve.thin:
        drawn.append(layer(rows, dots, {"fill": given("fill"), "tooltip": told}))
    return drawn


def _levels(chart: Curves) -> list[Spec]:
    rows = [{"level": value, "label": label} for value, label in chart.levels]
    text = {"type": "text", "align": "left", "dx": 4, "dy": -7, "fontSize": 11.5, "color": MUTED}
    across = {"x": {"value": 0}, "x2": {"value": "width"}}
    height = quantity("level")
    return [
        layer(rows, {"type": "rule", **REFERENCE}, {**across, "y": height}),
        layer(rows, text, {"x": {"value": 0}, "y": height, "text": {"field": "label"}}),
    ]


def _shade(span: Span) -> list[Spec]:
    ends = [{"x0": span.low, "x1": span.high, "label": span.label}]
    across = {"x": quantity("x0"), "x2": {"field": "x1"}}
    mark = {"type": "rect", "color": "#eef1f4", "aria": False, "clip": True}
    text = {"type": "text", "align": "left", "dx": 4, "fontSize": 11.5, "color": MUTED}
    return [
        layer(ends, mark, {**across, "y": {"value": 0}, "y2": {"value": "height"}}),
        layer(ends, text, {"x": quantity("x0"), "y": {"value": 10}, "text": {"field": "label"}}),
    ]


def _band(chart: Curves) -> list[Spec]:
    names = list(dict.fromkeys(span.label for span in chart.spans))
    colours = {name: _BANDS[place % len(_BANDS)] for place, name in enumerate(names)}
    rows = [
        {
            "x0": max(span.low, chart.x.scale.low),
            "x1": min(span.high, chart.x.scale.high),
            "label": span.label,
            "fill": tint(colours[span.label], 0.3),
        }
        for span in chart.spans
    ]
    top, bottom = _BAND
    across = {"x": quantity("x0"), "x2": {"field": "x1"}}
    mark = {"type": "rect", "stroke": PAPER, "aria": False}
    text = {
        "type": "text",
        "align": "left",
        "dx": 4,
        "baseline": "middle",
        "fontSize": 11,
        "color": INK,
    }
    boxes = layer(
        rows, mark, {**across, "y": {"value": top}, "y2": {"value": bottom}, "fill": given("fill")}
    )
    place = {"x": quantity("x0"), "y": {"value": (top + bottom) / 2}, "text": {"field": "label"}}
    return [boxes, layer([row for row in rows if _wide(chart, row)], text, place)]


_BANDS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def _wide(chart: Curves, row: Spec) -> bool:
    """True if a span has room for its name."""
    width = chart.x.scale.pixel(row["x1"]) - chart.x.scale.pixel(row["x0"])
    return width > 6.2 * len(str(row["label"])) + 8


def _labels(chart: Curves) -> list[Spec]:
    """Names at the right edge, moved apart, each joined to the end of its curve."""
    entries: list[Spec] = []
    for curve in chart.curves:
        ends = [(x, y) for x, y in curve.points if y is not None]
        if not (curve.name and ends):
            continue
        x, y = ends[-1]
        inside = min(max(y, chart.y.scale.low), chart.y.scale.high)
        entries.append(
            {
                "label": curve.name,
                "line": curve.colour,
                "ink": as_text(curve.colour),
                "x0": chart.x.scale.pixel(x) + 5,
                "y0": HEIGHT - chart.y.scale.pixel(inside),
            }
        )
    if not entries:
        return []
    heights = [float(entry["y0"]) for entry in entries]
    for entry, place in zip(entries, spread(heights, 15, 8.0, HEIGHT - 2.0), strict=True):
        entry |= {"x1": WIDTH + 18, "y1": place}
    join = {"type": "rule", "strokeWidth": 0.8, "opacity": 0.55, "aria": False}
    texts = {"x": pixel("x1"), "y": pixel("y1"), **inked("label")}
    mark = {**_LABEL, "fontWeight": 600, "limit": 150}
    return [layer(entries, join, {**BOX, "color": given("line")}), layer(entries, mark, texts)]


def colours_of(count: int) -> Sequence[str]:
    """Colours for ``count`` unordered curves."""
    return [_BANDS[index % len(_BANDS)] for index in range(count)]
