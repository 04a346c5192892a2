"""What all charts share: size, fonts, colours and the Vega-Lite configuration."""

from typing import Any

from coresplit.charts.palette import GRID, INK, MUTED, PAPER

Spec = dict[str, Any]

WIDTH, HEIGHT = 540, 320
PADDING = {"left": 84, "top": 46, "right": 176, "bottom": 74}
TOTAL = (WIDTH + PADDING["left"] + PADDING["right"], HEIGHT + PADDING["top"] + PADDING["bottom"])
"""Width and height of every chart in pixels, before any scaling."""

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
SCHEMA_URL = "https://vega.github.io/schema/vega-lite/v6.json"


def config() -> Spec:
    """The Vega-Lite configuration of page and pictures."""
    return {
        "background": PAPER,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED,
            "labelFontSize": 12,
            "titleColor": INK,
            "titleFontSize": 12.5,
            "titleFontWeight": "normal",
            "titlePadding": 9,
            "gridColor": GRID,
            "domainColor": "#b8c0ca",
            "tickColor": "#b8c0ca",
            "labelFlush": False,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False, "labelPadding": 8},
    }


def base(description: str) -> Spec:
    """The frame of a chart; its data are the named dataset ``points``."""
    return {
        "$schema": SCHEMA_URL,
        "description": description,
        "width": WIDTH,
        "height": HEIGHT,
        "padding": PADDING,
        "autosize": {"type": "none"},
        "data": {"name": "points"},
    }
