"""Maps of the grid, threads by batch, as Vega-Lite specifications; pure."""

import math
from collections.abc import Sequence

import msgspec

from coresplit.analysis.rows import Row
from coresplit.charts.palette import INK, MUTED, PAPER, viridis
from coresplit.charts.parts import note_layer, title_layer, tooltip
from coresplit.charts.scales import count_scale
from coresplit.charts.theme import WIDTH, Spec, base

MOST_WRITTEN = 200
"""Values are written into the cells of maps with at most this many cells."""
TIED_COLOUR = "#dfe3e8"
APART = "datum.gk === 'faster' || datum.gk === 'slower'"


class GridMap(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: the throughput of each cell, or its gain over that of ``over``."""

    title: str
    description: str
    rows: tuple[Row, ...]
    over: str = "none"


def throughput_map_spec(chart: GridMap) -> Spec:
    """Throughput of one optimization over threads and batch; brighter is more."""
    most = max(row.throughput for row in chart.rows)
    scale = {
        "type": "linear",
        "domain": [0, most],
        "range": [viridis(step / 12) for step in range(13)],
        "interpolate": "rgb",
    }
    colour = {
        "field": "th",
        "type": "quantitative",
        "scale": scale,
        "legend": _legend("inferences/s"),
    }
    text = "datum.th < 9.95 ? format(datum.th, '.2~r') : format(datum.th, ',.0f')"
    dark = f"datum.th < {most * 0.62:.5g}"
    return _map(chart, colour, text, dark, gain=False)


def gain_map_spec(chart: GridMap, ratios: Sequence[float]) -> Spec:
    """Throughput over that of another; grey if the two are too close to call.

    ``ratios`` are those of the rows that differ; they set the range of the colours.
    """
    span = max([1.25, *ratios, *(1 / ratio for ratio in ratios)])
    scale = {
        "type": "log",
        "domain": [1 / span, 1, span],
        "range": ["#b35806", "#f7f7f7", "#2166ac"],
        "interpolate": "lab",
        "nice": False,
    }
    colour = {
        "condition": {"test": f"!({APART})", "value": TIED_COLOUR},
        "field": "g",
        "type": "quantitative",
        "scale": scale,
        "legend": {
            **_legend(f"times {chart.over}"),
            "format": ".2~r",
            "values": _ratio_ticks(span),
        },
    }
    neither = "datum.gk === 'equivalent' ? '=' : '?'"
    text = f"({APART}) ? format(datum.g, datum.g < 1.995 ? '.2f' : '.2r') + 'x' : {neither}"
    dark = f"({APART}) && abs(log(datum.g)) > {math.log(span) * 0.62:.5g}"
    return _map(chart, colour, text, dark, gain=True)


def _map(chart: GridMap, colour: Spec, text: str, dark: str, *, gain: bool) -> Spec:
    threads = sorted({row.cell.threads for row in chart.rows})
    batches = sorted({row.cell.batch for row in chart.rows})
    layers: list[Spec] = [_cells(chart, colour, 1.0 if len(threads) <= 24 else 0.4)]
    if len(threads) * len(batches) <= MOST_WRITTEN:
        layers.append(_texts(text, dark))
    layers += [_note(chart, gain=gain), title_layer(chart.title)]
    frame = {**base(chart.description), "view": {"fill": "#f4f5f7"}}
    return {**frame, "encoding": map_axes(threads, batches), "layer": layers}


def map_axes(threads: Sequence[int], batches: Sequence[int]) -> Spec:
    """Axes of a map: threads to the right, batches upwards, equal space for each value."""
    axis = {"labelAngle": 0, "ticks": False, "domain": False}
    ticks = count_scale(threads, WIDTH, log=False).ticks
    return {
        "x": {
            "field": "t",
            "type": "ordinal",
            "scale": {"domain": list(threads)},
            "axis": {**axis, "title": "threads", "values": list(ticks)},
        },
        "y": {
            "field": "b",
            "type": "ordinal",
            "scale": {"domain": list(batches)[::-1]},
            "axis": {**axis, "labelOverlap": "greedy", "title": "batch (inputs per forward pass)"},
        },
    }


def _cells(chart: GridMap, colour: Spec, gap: float) -> Spec:
    fields = [
        ("o", "optimization"),
        ("t", "threads"),
        ("b", "batch"),
        ("said", "throughput (inferences/s)"),
        ("over", f"over {chart.over}"),
        ("v", "verdict"),
        ("r", "reason"),
    ]
    return {
        "transform": [
            {"calculate": "format(datum.th, ',.4~r')", "as": "said"},
            {
                "calculate": "isValid(datum.g) ? format(datum.g, '.3~r') + 'x, ' + "
                "(datum.gk === 'unclear' ? 'too close to call' : datum.gk) : '-'",
                "as": "over",
            },
        ],
        "mark": {"type": "rect", "stroke": PAPER, "strokeWidth": gap},
        "encoding": {
            "color": colour,
            "opacity": {
                "condition": {"test": "datum.v === 'estimated'", "value": 0.62},
                "value": 1,
            },
            "tooltip": tooltip(fields),
        },
    }


def _texts(text: str, dark: str) -> Spec:
    guessed = "datum.v === 'estimated' ? '~' : ''"
    return {
        "transform": [{"calculate": f"({guessed}) + ({text})", "as": "written"}],
        "mark": {"type": "text", "fontSize": 11, "aria": False},
        "encoding": {
            "text": {"field": "written"},
            "color": {
                "condition": {"test": f"({dark}) && datum.v !== 'estimated'", "value": PAPER},
                "value": INK,
            },
        },
    }


def _note(chart: GridMap, *, gain: bool) -> Spec:
    guessed = any(row.verdict == "estimated" for row in chart.rows)
    notes = ["=: equivalent; ?: too close to call"] if gain else []
    notes += ["paler, ~: estimated"] if guessed else []
    return note_layer(notes)


def _ratio_ticks(span: float) -> list[float]:
    """Round ratios within the span, symmetric about one."""
    above = next(
        [step**power for power in (1, 2, 3) if step**power <= span]
        for step in (10.0, 4.0, 2.0, 1.5, 1.2)
        if step <= span
    )
    return [*(round(1 / ratio, 3) for ratio in above[::-1]), 1.0, *above]


def _legend(title: str) -> Spec:
    return {
        "title": title,
        "orient": "right",
        "offset": 20,
        "gradientLength": 200,
        "titleFontWeight": "normal",
        "titleColor": MUTED,
        "labelColor": MUTED,
        "titleFontSize": 11.5,
        "labelFontSize": 11.5,
        "titlePadding": 8,
    }
