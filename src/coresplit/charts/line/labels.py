"""The texts on a line chart: direct labels and the key of its marks; pure."""

from collections.abc import Iterator, Sequence

from coresplit.charts.line.chart import (
    LineChart,
    Series,
    place_of,
    said,
    shape,
    value_of,
)
from coresplit.charts.palette import MUTED, PAPER, as_text
from coresplit.charts.parts import (
    BOX,
    KEY_MARK,
    KEY_TEXT,
    given,
    inked,
    key_places,
    layer,
    pixel,
    written,
)
from coresplit.charts.scales import Scale, labelled, spread
from coresplit.charts.theme import HEIGHT, PADDING, WIDTH, Spec
from coresplit.format import number
from coresplit.records import Verdict

MOST_LABELS = 16
"""Most direct labels of one chart."""
_TEXT = {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12, "limit": 112}


def key_layers(verdicts: Sequence[Verdict]) -> list[Spec]:
    """The key of the marks below a chart; empty if all points are measured."""
    if not set(verdicts) - {"measured"}:
        return []
    texts = {
        "measured": "measured",
        "light": "light (1 or 2 visits)",
        "unstable": "unstable",
        "estimated": "estimated",
    }
    lefts = key_places([texts[verdict] for verdict in verdicts])
    entries = [
        {"kx": left, "ky": HEIGHT + 60, "k": verdict, "kt": texts[verdict]}
        for left, verdict in zip(lefts, verdicts, strict=True)
    ]
    place = {"x": pixel("kx"), "y": pixel("ky")}
    fill = {"condition": {"test": "datum.k === 'estimated'", "value": PAPER}, "value": MUTED}
    return [
        layer(entries, KEY_MARK, {**place, "shape": shape("k"), "fill": fill}),
        layer(entries, {**KEY_TEXT, "color": MUTED}, {**place, "text": {"field": "kt"}}),
    ]


def label_layers(chart: LineChart, x: Scale, y: Scale) -> list[Spec]:
    """Direct labels at the right edge, moved apart, each joined to the end of its line."""
    shown = _labelled_series(chart)
    if not shown:
        return []
    entries = [*_line_entries(chart, shown, x, y), *_level_entries(chart, y)]
    gap = min(14.5, HEIGHT / max(len(entries) - 1, 1))
    places = spread([float(entry["y0"]) for entry in entries], gap, 8.0, HEIGHT - 2.0)
    for entry, place in zip(entries, places, strict=True):
        entry |= {"x1": WIDTH + 18, "y1": place}
    heading = {**_TEXT, "fontSize": 11.5, "color": MUTED}
    return [
        _leaders(entries),
        _names(entries),
        *([_values(entries)] if chart.field == "o" else ()),
        written(chart.heading, heading, WIDTH + 22, min(places) - 17),
    ]


def _line_entries(chart: LineChart, shown: Sequence[Series], x: Scale, y: Scale) -> Iterator[Spec]:
    """The label of each line at its last point."""
    last = max(place_of(row, chart.x) for row in chart.rows)
    for series in shown:
        end = max(series.rows, key=lambda row: place_of(row, chart.x))
        lossy = series.value in chart.lossy
        yield {
            "line": series.colour,
            "label": f"{series.label} (lossy)" if lossy else series.label,
            "value": said(end, chart) if chart.field == "o" else "",
            "ink": as_text(series.colour),
            "far": place_of(end, chart.x) < last,
            "x0": x.pixel(place_of(end, chart.x)) + 5,
            "y0": HEIGHT - y.pixel(value_of(end, chart.metric)[0]),
        }


def _level_entries(chart: LineChart, y: Scale) -> Iterator[Spec]:
    """The name of each horizontal line at its end."""
    for level in chart.levels:
        yield {
            "line": MUTED,
            "label": level.label,
            "value": number(level.value),
            "ink": MUTED,
            "far": False,
            "x0": WIDTH,
            "y0": HEIGHT - y.pixel(level.value),
        }


def _leaders(entries: list[Spec]) -> Spec:
    """Thin joins of line and label; dotted if the line ends before the edge of the chart."""
    dotted = {"condition": {"test": "datum.far", "value": [1, 4]}, "value": [1, 0]}
    mark = {"type": "rule", "strokeWidth": 0.8, "opacity": 0.55, "aria": False}
    return layer(entries, mark, {**BOX, "color": given("line"), "strokeDash": dotted})


def _names(entries: list[Spec]) -> Spec:
    mark = {**_TEXT, "dx": 4, "fontWeight": 600}
    return layer(entries, mark, {"x": pixel("x1"), "y": pixel("y1"), **inked("label")})


def _values(entries: list[Spec]) -> Spec:
    """The last value of each line in a column of its own, because lines may overlap."""
    mark = {**_TEXT, "align": "right", "fontSize": 11, "color": MUTED, "limit": 58}
    end = column_end([entry["label"] for entry in entries])
    place = {"x": {"value": end}, "y": pixel("y1"), "text": {"field": "value"}}
    return layer(entries, mark, place)


def column_end(names: Sequence[str]) -> float:
    """Right end in pixels of a column of numbers after the longest name."""
    longest = max(map(len, names))
    return min(WIDTH + 26 + 7.0 * longest + 56, WIDTH + PADDING["right"] - 4)


def _labelled_series(chart: LineChart) -> tuple[Series, ...]:
    if all(isinstance(series.value, int) for series in chart.series):
        kept = labelled([int(series.value) for series in chart.series], MOST_LABELS)
        return tuple(series for series in chart.series if series.value in kept)
    return chart.series
