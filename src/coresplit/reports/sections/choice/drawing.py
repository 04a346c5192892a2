"""The map of the best optimization at every grid point, as a Vega-Lite specification; pure."""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.ranking import Best, Ranking
from coresplit.charts.heatmap import MOST_WRITTEN, map_axes
from coresplit.charts.line.labels import column_end
from coresplit.charts.palette import INK, MUTED, PAPER, tint
from coresplit.charts.parts import (
    BOX,
    GROUND,
    given,
    layer,
    note_layer,
    pixel,
    title_layer,
    tooltip,
    written,
)
from coresplit.charts.theme import HEIGHT, WIDTH, Spec, base
from coresplit.format import number, times_exact
from coresplit.reports.sections.choice.text import tied_text
from coresplit.reports.wording import UNCLEAR, doubt

NAMED_FROM = 118
"""Least width in pixels of a place that shows the name of its winner; else only its colour."""
OPEN = "#eceff3"
"""Colour of places where no optimization is shown to be the fastest."""
STRIPE = 4.5


class ChoiceMap(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: a ranking, and the colour of each optimization."""

    title: str
    description: str
    ranking: Ranking
    colours: dict[str, str]


def choice_map_spec(chart: ChoiceMap) -> Spec:
    """The winner of every place and its gain; grey with stripes if none is shown to win."""
    best = chart.ranking.best
    threads = sorted({place[0] for place in best})
    batches = sorted({place[1] for place in best})
    width, height = WIDTH / len(threads), HEIGHT / len(batches)
    entries, stripes = [], []
    for place, one in best.items():
        left, top = threads.index(place[0]) * width, HEIGHT - height * (batches.index(place[1]) + 1)
        room = 1.5 if one.guessed else 0.0
        box = {"x0": left + room, "x1": left + width - room}
        box |= {"y0": top + room, "y1": top + height - room}
        entries.append({**box, **_entry(one, place, chart, width)})
        stripes += _stripes(one, chart, box)
    layers = [GROUND, _cells(entries)]
    layers.append(layer(stripes, {"type": "rect", "aria": False}, {**BOX, "fill": given("edge")}))
    if len(entries) <= MOST_WRITTEN:
        layers += _texts(entries, width)
    layers += [*_key(chart), _note(entries, stripes), title_layer(chart.title)]
    frame = {**base(chart.description), "view": {"fill": "#f4f5f7"}}
    # ordinal axes need data of their own: the layers place their points in pixels
    frame["data"] = {"values": [{"t": t, "b": b} for t, b in best]}
    return {**frame, "encoding": map_axes(threads, batches), "layer": layers}


def _entry(one: Best, place: tuple[int, int], chart: ChoiceMap, width: float) -> Spec:
    name = one.row.cell.optimization
    gain = one.gain
    mark = "~" if one.guessed or (gain and gain.verdict == "estimated") else ""
    value = f"{mark}{times_exact(gain.value)}" if gain else ""
    if width < 40 and gain:
        value = f"{mark}{gain.value:.1f}" if gain.value < 99.5 else f"{gain.value:.0f}"
    star = "*" if one.row.cell.variant.placing and width < NAMED_FROM else ""
    tied = tied_text(one)
    between = f"{times_exact(gain.low)} to {times_exact(gain.high)}" if gain else "-"
    return {
        "threads": place[0],
        "batch": place[1],
        "o": name,
        "way": str(one.row.cell.variant) if one.sole else UNCLEAR,
        "fill": PAPER if one.guessed else tint(chart.colours[name], 0.42) if one.sole else OPEN,
        "stroke": chart.colours[name] if one.guessed else PAPER,
        "hollow": one.guessed,
        "value": f"{value}{star}",
        "tied": tied or "-",
        "short": _short_tie(one),
        "said": f"{number(one.row.throughput)} inferences/s{doubt(one.row.verdict)}",
        "gain": f"{value} ({between})" if gain else "-",
    }


def _short_tie(one: Best) -> str:
    if one.sole:
        return ""
    names = dict.fromkeys(row.cell.optimization for row in (one.row, *one.tied))
    return ", ".join(names)


def _stripes(one: Best, chart: ChoiceMap, box: Spec) -> list[Spec]:
    """A stripe for each tied optimization, at the bottom of the place."""
    if one.sole:
        return []
    others = list(dict.fromkeys(row.cell.optimization for row in (one.row, *one.tied)))
    share = (box["x1"] - box["x0"] - 2) / len(others)
    return [
        {
            "x0": box["x0"] + 1 + share * index,
            "x1": box["x0"] + 1 + share * (index + 1),
            "y0": box["y1"] - STRIPE - 1,
            "y1": box["y1"] - 1,
            "edge": chart.colours[name],
        }
        for index, name in enumerate(others)
    ]


def _cells(entries: Sequence[Spec]) -> Spec:
    titles = {
        "way": "best",
        "threads": "threads",
        "batch": "batch",
        "said": "throughput",
        "gain": "gain",
        "tied": "tied with",
    }
    return {
        "data": {"values": list(entries)},
        "mark": {"type": "rect", "strokeWidth": 1.2},
        "encoding": {
            **BOX,
            "fill": given("fill"),
            "stroke": given("stroke"),
            "tooltip": tooltip(titles.items()),
        },
    }


def _texts(entries: Sequence[Spec], width: float) -> list[Spec]:
    """The winner, its gain and, if there is room, its ties; in narrow places only the gain."""
    text = {"type": "text", "baseline": "middle", "aria": False, "color": INK}
    if width < NAMED_FROM:
        middle = [
            {**entry, "xm": (entry["x0"] + entry["x1"]) / 2, "ym": _middle(entry)}
            for entry in entries
        ]
        place = {"x": pixel("xm"), "y": pixel("ym"), "text": {"field": "value"}}
        size = 10 if width < 40 else 11
        mark = {**text, "align": "center", "fontSize": size}
        return [layer(middle, mark, place)]
    rows = [{**entry, "xm": entry["x0"] + 9, "ym": _middle(entry)} for entry in entries]
    layers = []
    rest = width - 18
    odd = any(entry["way"] != entry["o"] for entry in entries)
    columns = [("way", 0.0, 600, INK, rest - 50), ("value", rest, 400, INK, 48)]
    if width >= 2 * NAMED_FROM and not odd:
        columns = [
            ("way", 0.0, 600, INK, 0.42 * rest),
            ("value", 0.58 * rest, 400, INK, 48),
            ("short", 0.61 * rest, 400, MUTED, 0.39 * rest),
        ]
    for field, dx, weight, ink, limit in columns:
        align = "right" if field == "value" else "left"
        style = {"align": align, "fontSize": 11.5, "fontWeight": weight, "color": ink}
        mark = {**text, **style, "dx": dx, "limit": limit}
        place = {"x": pixel("xm"), "y": pixel("ym"), "text": {"field": field}}
        layers.append(layer(rows, mark, place))
    return layers


def _middle(entry: Spec) -> float:
    return float(entry["y0"] + entry["y1"]) / 2 - (0.5 if entry["tied"] == "-" else 1.5)


def _key(chart: ChoiceMap) -> list[Spec]:
    """The key: leaders with their colour and the number of places where they win."""
    entries = [
        {"name": name, "wins": f"{count}", "edge": chart.colours[name], "y": 14 + 20 * index}
        for index, (name, count) in enumerate(chart.ranking.wins)
    ]
    fills = [{**e, "fill": tint(chart.colours[str(e["name"])], 0.42)} for e in entries]
    text = {"type": "text", "baseline": "middle", "fontSize": 12, "align": "left", "limit": 108}
    y = {"y": pixel("y")}
    end = column_end([name for name, _ in chart.ranking.wins])
    square = {"type": "square", "size": 120, "opacity": 1, "strokeWidth": 1.4, "aria": False}
    colours = {"fill": given("fill"), "stroke": given("edge")}
    names, wins = {"text": {"field": "name"}}, {"text": {"field": "wins"}}
    right, heading = {"align": "right", "color": MUTED}, {"fontSize": 11.5, "color": MUTED}
    return [
        layer(fills, square, {**y, "x": {"value": WIDTH + 22}, **colours}),
        layer(
            entries,
            {**text, "fontWeight": 600, "color": INK},
            {**y, "x": {"value": WIDTH + 34}, **names},
        ),
        layer(entries, {**text, **right}, {**y, "x": {"value": end}, **wins}),
        written("grid points won", {**text, **heading}, WIDTH + 16, -6),
    ]


def _note(entries: Sequence[Spec], stripes: Sequence[Spec]) -> Spec:
    notes = ["grey: too close to call between the striped colours"] if stripes else []
    odd = any(str(entry["value"]).endswith("*") for entry in entries)
    notes += ["*: non-default allocator or mapping"] if odd else []
    notes += ["white, ~: estimated"] if any(entry["hollow"] for entry in entries) else []
    return note_layer(notes)
