"""The only module that uses the drawing libraries; they are imported on first use."""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

import msgspec

from coresplit.charts.figure import Figure
from coresplit.charts.points import ChartPoints
from coresplit.charts.theme import Spec, config
from coresplit.errors import EnvironmentFault

PNG_SCALE = 2
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def library(name: str) -> Any:  # noqa: ANN401
    """Import a drawing library; raises EnvironmentFault with the remedy if it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise EnvironmentFault(
            f"the report needs {name.replace('_', '-')}, which is not installed; "
            "run: pip install 'coresplit[report]'"
        ) from error


def picture(figure: Figure, chart_points: ChartPoints) -> bytes:
    """A figure as PNG at twice its size in pixels; makes no network access."""
    spec = msgspec.json.encode(complete(figure, chart_points)).decode()
    png: bytes = library("vl_convert").vegalite_to_png(
        # Vega cuts long text between the two halves of such a character and then fails
        _ASTRAL.sub("\ufffd", spec),
        scale=PNG_SCALE,
        config=config(),
        allowed_base_urls=[],
    )
    return png


def complete(figure: Figure, chart_points: ChartPoints) -> Spec:
    """The specification of a figure together with its points."""
    return {**figure.spec, "datasets": {"points": chart_points.records(figure.rows)}}


@lru_cache(maxsize=1)
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that is safe inside a page."""
    script: str = library("vl_convert").javascript_bundle()
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
