"""The marks of a line chart: bands, joined points and whiskers; pure."""

import json

from coresplit.charts.line.chart import BANDS_UP_TO, FIELDS, LineChart, Metric, colour, shape
from coresplit.charts.palette import PAPER
from coresplit.charts.parts import quantity, tooltip
from coresplit.charts.theme import Spec

LOSSY_DASH = (9, 3, 2, 3)


def band(chart: LineChart) -> Spec:
    """Intervals as a band along each unbroken stretch."""
    _, low, high, _ = FIELDS[chart.metric]
    return {
        "mark": {"type": "area", "opacity": 0.16, "clip": True, "aria": False},
        "encoding": {
            "y": quantity(low),
            "y2": {"field": high},
            "color": colour(chart),
            "detail": {"field": "rt" if chart.x == "t" else "rb"},
        },
    }


def segments(chart: LineChart) -> Spec:
    """Lines between neighbours; dashed if either end is estimated, broken at missing cells."""
    value, _, _, verdict = FIELDS[chart.metric]
    stretch = "rt" if chart.x == "t" else "rb"
    ahead = [
        {"op": "lead", "field": name, "as": f"{kind}_ahead"}
        for name, kind in ((chart.x, "x"), (value, "y"), (verdict, "v"))
    ]
    window = {"window": ahead, "groupby": [chart.field, stretch], "sort": [{"field": chart.x}]}
    guessed = f"datum.{verdict} === 'estimated' || datum.v_ahead === 'estimated'"
    many = len(chart.series) > BANDS_UP_TO
    return {
        "transform": [window, {"filter": "isValid(datum.x_ahead)"}],
        "mark": {
            "type": "rule",
            "strokeCap": "round",
            "strokeWidth": 1.6 if many else 2.2,
            "aria": False,
        },
        "encoding": {
            "x2": {"field": "x_ahead"},
            "y2": {"field": "y_ahead"},
            "color": colour(chart),
            "strokeDash": {
                "condition": [{"test": guessed, "value": [4, 4]}, *lossy_dash(chart)],
                "value": [1, 0],
            },
        },
    }


def lossy_dash(chart: LineChart) -> list[Spec]:
    """The dash of lossy optimizations, in charts with one line per optimization."""
    if chart.field != "o" or not chart.lossy:
        return []
    names = json.dumps(sorted(chart.lossy))
    return [{"test": f"indexof({names}, datum.o) >= 0", "value": list(LOSSY_DASH)}]


def whiskers(chart: LineChart) -> Spec:
    """Interval of each point; with bands, only of points that are not ``measured``."""
    _, low, high, verdict = FIELDS[chart.metric]
    layer: Spec = {
        "mark": {"type": "rule", "strokeWidth": 1.3, "opacity": 0.5, "clip": True, "aria": False},
        "encoding": {
            "y": quantity(low),
            "y2": {"field": high},
            "color": colour(chart),
        },
    }
    if len(chart.series) <= BANDS_UP_TO:
        layer["transform"] = [{"filter": f"datum.{verdict} !== 'measured'"}]
    return layer


def points(chart: LineChart) -> Spec:
    """The points themselves: shape by verdict, hollow if estimated, with a tooltip."""
    value, low, high, verdict = FIELDS[chart.metric]
    crowded = len(chart.rows) > 250
    own = chart.metric in ("latency", "throughput")
    kind = "' (' + datum.iv + ')'" if own else "' (from both intervals)'"
    hollow = {"test": f"datum.{verdict} === 'estimated'", "value": PAPER}
    return {
        "transform": [
            {"calculate": f"format(datum.{value}, ',.4~r')", "as": "said"},
            {
                "calculate": f"format(datum.{low}, ',.4~r') + ' to ' + "
                f"format(datum.{high}, ',.4~r') + {kind}",
                "as": "between",
            },
        ],
        "mark": {
            "type": "point",
            "size": 26 if crowded else 52,
            "opacity": 1,
            "strokeWidth": 1.4 if crowded else 1.8,
        },
        "encoding": {
            "stroke": colour(chart),
            "fill": {"condition": hollow, **colour(chart)},
            "shape": shape(verdict),
            "tooltip": _told(chart.metric, verdict, chart.unit),
        },
    }


def _told(metric: Metric, verdict: str = "v", derived: str = "") -> list[Spec]:
    """The tooltip of a point: its cell, value with interval, samples, verdict and reason."""
    unit = {
        "latency": "latency (ms)",
        "throughput": "throughput (inferences/s)",
        "speedup": "speedup",
        "derived": derived,
    }[metric]
    pairs = [
        ("o", "optimization"),
        ("t", "threads"),
        ("b", "batch"),
        ("said", unit),
        ("between", "interval"),
        ("n", "samples"),
        (verdict, "verdict"),
        ({"speedup": "sr", "derived": "yr"}.get(metric, "r"), "reason"),
    ]
    return tooltip(pairs)
