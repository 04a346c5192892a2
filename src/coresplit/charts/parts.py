"""Parts that several charts share: layers with embedded values, encodings, notes; pure."""

from collections.abc import Iterable, Sequence

from coresplit.charts.palette import INK, MUTED, PAPER
from coresplit.charts.scales import Scale
from coresplit.charts.theme import HEIGHT, PADDING, TOTAL, Spec

REFERENCE = {"stroke": "#9aa5b1", "strokeDash": [2, 4], "strokeWidth": 1.6}
"""The stroke of lines to compare with, such as the ideal speedup."""
ACROSS = {"x": {"value": 0}, "x2": {"value": "width"}}
BOX = {
    "x": {"field": "x0", "type": "quantitative", "scale": None, "axis": None},
    "y": {"field": "y0", "type": "quantitative", "scale": None, "axis": None},
    "x2": {"field": "x1"},
    "y2": {"field": "y1"},
}
"""A box with its edges in pixels."""
GROUND = {"mark": {"type": "rect", "color": PAPER, "aria": False}}
"""A layer in the units of the axes; without one, Vega would not draw the axes."""


KEY_MARK = {
    "type": "point",
    "size": 55,
    "opacity": 1,
    "stroke": MUTED,
    "strokeWidth": 1.6,
    "aria": False,
}
KEY_TEXT = {"type": "text", "align": "left", "dx": 9, "baseline": "middle", "fontSize": 11.5}
"""The text style of the key below a chart."""


def key_places(texts: Sequence[str]) -> list[float]:
    """The left edge of each entry of a key, in pixels."""
    widths = [30 + 6.0 * len(text) for text in texts]
    return [4.0 + sum(widths[:place]) for place in range(len(widths))]


def layer(values: Sequence[Spec], mark: Spec, encoding: Spec) -> Spec:
    """A layer with embedded values."""
    return {"data": {"values": list(values)}, "mark": mark, "encoding": encoding}


def written(text: str, mark: Spec, x: float, y: float) -> Spec:
    """One text at a position in pixels, in the style of ``mark``."""
    return layer([{}], {**mark, "text": text}, {"x": {"value": x}, "y": {"value": y}})


def title_layer(title: str) -> Spec:
    """The title at the left edge, as a mark because Vega moves its own titles with the labels."""
    style = {"align": "left", "fontSize": 15, "fontWeight": 600, "color": INK}
    mark = {"type": "text", "text": title, **style, "limit": TOTAL[0] - 30}
    return layer([{}], mark, {"x": {"value": 14 - PADDING["left"]}, "y": {"value": -28}})


def note_layer(notes: Iterable[str]) -> Spec:
    """A note below the chart that explains its signs."""
    mark = {"type": "text", "align": "left", "fontSize": 11.5, "color": MUTED}
    return written("; ".join(notes), mark, 0, HEIGHT + 60)


def reference_lines(field: str, values: Iterable[float]) -> Spec:
    """Horizontal lines at values of the y axis."""
    mark = {"type": "rule", **REFERENCE}
    return layer([{field: value} for value in values], mark, {**ACROSS, "y": quantity(field)})


def equivalence_band(width: float, y: Scale) -> Spec:
    """The grey band around 1 in which two values are equivalent; ``width`` is relative."""
    ends = {"low": max(1 / (1 + width), y.low), "high": min(1 + width, y.high)}
    mark = {"type": "rect", "color": "#e9ecf0", "clip": True, "aria": False}
    return layer([ends], mark, {**ACROSS, "y": quantity("low"), "y2": {"field": "high"}})


def tooltip(titles: Iterable[tuple[str, str]]) -> list[Spec]:
    """The tooltip of a point: fields and their titles."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in titles]


def inked(field: str) -> Spec:
    """A text with the colour from the field ``ink``."""
    return {"text": {"field": field}, "color": given("ink")}


def quantity(field: str) -> Spec:
    """A quantitative field on its axis."""
    return {"field": field, "type": "quantitative"}


def pixel(field: str) -> Spec:
    """A position given in pixels, not in the units of an axis."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def given(field: str) -> Spec:
    """A colour or a shape taken from a field of the points as it is."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def vega_scale(scale: Scale) -> Spec:
    """A Vega-Lite scale with exactly this domain."""
    kind = {"type": "log", "base": 10} if scale.log else {"type": "linear", "zero": False}
    return {**kind, "domain": [scale.low, scale.high], "nice": False}


def short(value: float) -> float:
    """Round to five significant digits, as many as a chart can show."""
    return float(f"{value:.5g}")
