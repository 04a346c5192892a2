"""Charts of ratios over batch, around the line of 1, as Vega-Lite specifications; pure."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from coresplit.charts.palette import INK, MUTED, PAPER, as_text
from coresplit.charts.parts import (
    KEY_MARK,
    KEY_TEXT,
    equivalence_band,
    given,
    inked,
    key_places,
    layer,
    pixel,
    quantity,
    reference_lines,
    short,
    title_layer,
    tooltip,
    vega_scale,
)
from coresplit.charts.scales import LOG_SPAN, Scale, count_scale, log_scale, span_scale, spread
from coresplit.charts.theme import HEIGHT, WIDTH, Spec, base
from coresplit.records import Configuration

ENDS = {"y": quantity("low"), "y2": {"field": "high"}}
SHAPE = {
    "shape": given("kind"),
    "angle": {"field": "turn", "type": "quantitative", "scale": None},
}
COLOURS: dict[Configuration, str] = {"split": "#0072B2", "fat": "#D55E00", "thin": "#009E73"}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio at a batch with its interval, and the texts of its tooltip by name.

    ``name`` sets its colour, ``shape`` and ``hollow`` its mark. Points of the same ``stretch`` are
    joined in order; None is joined to no other. It is moved by ``aside`` pixels to the right.
    """

    name: Configuration
    batch: int
    value: float
    low: float
    high: float
    told: dict[str, str]
    shape: str = "circle"
    hollow: bool = False
    stretch: int | None = None
    aside: float = 0.0


class RatioChart(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: points, the name of each colour at the right, and a key of shapes below.

    ``band`` is the relative width of the grey band around 1 in which two values are equivalent;
    ``unit`` is the title of the y axis.
    """

    title: str
    description: str
    unit: str
    points: tuple[Point, ...]
    names: dict[Configuration, str]
    key: tuple[tuple[str, str], ...]
    band: float


def ratio_spec(chart: RatioChart) -> Spec:
    """Joined points with bands, single ones with whiskers, each with its own tooltip."""
    batches = sorted({point.batch for point in chart.points})
    x = count_scale(batches, WIDTH, log=True if len(batches) > 1 else None)
    y = _ratio_scale(chart.points)
    joined = [point for point in chart.points if point.stretch is not None]
    layers = [
        equivalence_band(chart.band, y),
        reference_lines("one", [1]),
        _bands(joined),
        _segments(joined),
    ]
    layers += [_whiskers(chart.points, x), _marks(chart.points, x), _names(chart, y)]
    layers += [*_key(chart.key), title_layer(chart.title)]
    return {**base(chart.description), "encoding": _axes(chart.unit, x, y), "layer": layers}


def _ratio_scale(points: Sequence[Point]) -> Scale:
    """A scale that shows 1 and all values; intervals that are far wider are cut at its edge."""
    values = [point.value for point in points]
    least = min(1.0, *(max(point.low, min(values) / 1.5) for point in points))
    most = max(1.0, *(min(point.high, max(values) * 1.5) for point in points))
    spanned = max(1.0, *values) / min(1.0, *values)
    made = log_scale if spanned >= LOG_SPAN["ratio"] else span_scale
    return made(least, most, HEIGHT)


def _axes(unit: str, x: Scale, y: Scale) -> Spec:
    ticks = {"values": list(x.ticks), "format": "d"}
    label = "format(datum.value, '~r') + 'x'"
    return {
        "x": {
            **quantity("b"),
            "scale": vega_scale(x),
            "axis": {"title": "batch (inputs of all instances)", **ticks},
        },
        "y": {
            **quantity("y"),
            "scale": vega_scale(y),
            "axis": {"title": unit, "values": list(y.ticks), "labelExpr": label},
        },
    }


def _beside(point: Point, x: Scale) -> float:
    """The x value of a point after moving it aside by its pixels."""
    if x.log:
        return float(f"{point.batch * (x.high / x.low) ** (point.aside / x.length):.6g}")
    return point.batch + (x.high - x.low) * point.aside / x.length


def _bands(joined: Sequence[Point]) -> Spec:
    """Intervals of joined points, along each unbroken stretch."""
    values = [
        {
            "b": point.batch,
            "low": short(point.low),
            "high": short(point.high),
            "line": f"{point.name} {point.stretch}",
            "edge": COLOURS[point.name],
        }
        for point in joined
    ]
    mark = {"type": "area", "opacity": 0.16, "clip": True, "aria": False}
    return layer(values, mark, {**ENDS, "detail": {"field": "line"}, "color": given("edge")})


def _segments(joined: Sequence[Point]) -> Spec:
    """Lines between neighbours of a stretch; dashed if either end is estimated."""
    values = [
        {
            "b": one.batch,
            "y": short(one.value),
            "b_ahead": other.batch,
            "y_ahead": short(other.value),
            "guessed": one.hollow or other.hollow,
            "edge": COLOURS[one.name],
        }
        for one, other in pairwise(joined)
        if (one.name, one.stretch) == (other.name, other.stretch)
    ]
    dash = {"condition": {"test": "datum.guessed", "value": [4, 4]}, "value": [1, 0]}
    mark = {"type": "rule", "strokeWidth": 2.2, "strokeCap": "round", "aria": False}
    ahead = {"x2": {"field": "b_ahead"}, "y2": {"field": "y_ahead"}}
    return layer(values, mark, {**ahead, "color": given("edge"), "strokeDash": dash})


def _whiskers(points: Sequence[Point], x: Scale) -> Spec:
    """Intervals of single points, and of joined ones that are estimated."""
    values = [
        {
            "b": _beside(point, x),
            "low": short(point.low),
            "high": short(point.high),
            "edge": COLOURS[point.name],
        }
        for point in points
        if point.hollow or point.stretch is None
    ]
    mark = {"type": "rule", "strokeWidth": 1.6, "opacity": 0.6, "clip": True, "aria": False}
    return layer(values, mark, {**ENDS, "color": given("edge")})


def _marks(points: Sequence[Point], x: Scale) -> Spec:
    values = [
        {
            **point.told,
            "b": _beside(point, x),
            "y": short(point.value),
            "fill": PAPER if point.hollow else COLOURS[point.name],
            "edge": COLOURS[point.name]
            if point.shape == "circle"
            else as_text(COLOURS[point.name]),
            "kind": point.shape,
            "turn": 45 if point.shape == "cross" else 0,
        }
        for point in points
    ]
    told = dict.fromkeys(name for point in points for name in point.told)
    return layer(
        values,
        {"type": "point", "size": 60, "opacity": 1, "strokeWidth": 1.6},
        {
            **SHAPE,
            "fill": given("fill"),
            "stroke": given("edge"),
            "tooltip": tooltip((name, name) for name in told),
        },
    )


def _names(chart: RatioChart, y: Scale) -> Spec:
    """The name of each colour at the height of its last point, moved apart."""
    last = {point.name: point for point in sorted(chart.points, key=lambda one: one.batch)}
    names = [name for name in chart.names if name in last]
    wanted = [HEIGHT - y.pixel(last[name].value) for name in names]
    entries = [
        {"text": chart.names[name], "ink": as_text(COLOURS[name]), "at": place}
        for name, place in zip(names, spread(wanted, 15.0, 8.0, HEIGHT - 2.0), strict=True)
    ]
    text = {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12, "limit": 150}
    place = {"x": {"value": WIDTH + 16}, "y": pixel("at")}
    return layer(entries, {**text, "fontWeight": 600}, {**place, **inked("text")})


def _key(shapes: Sequence[tuple[str, str]]) -> list[Spec]:
    """The key of the shapes, below the chart."""
    lefts = key_places([text for _, text in shapes])
    entries = [
        {
            "x": left,
            "kind": "circle" if kind == "hollow" else kind,
            "fill": PAPER if kind == "hollow" else MUTED,
            "text": text,
            "turn": 45 if kind == "cross" else 0,
        }
        for left, (kind, text) in zip(lefts, shapes, strict=True)
    ]
    place = {"x": pixel("x"), "y": {"value": HEIGHT + 60}}
    return [
        layer(entries, KEY_MARK, {**place, **SHAPE, "fill": given("fill")}),
        layer(entries, {**KEY_TEXT, "color": INK}, {**place, "text": {"field": "text"}}),
    ]
