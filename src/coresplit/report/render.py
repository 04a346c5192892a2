"""The one place that knows the drawing libraries; they are imported on first use."""

from functools import lru_cache
from importlib import import_module
from typing import Any

from coresplit.errors import EnvironmentFault
from coresplit.report.book import Figure
from coresplit.report.dataset import Dataset
from coresplit.report.theme import Spec, config

PNG_SCALE = 2


def library(name: str) -> Any:  # noqa: ANN401
    """A drawing library; raises EnvironmentFault with the remedy where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise EnvironmentFault(
            f"the report needs {name.replace('_', '-')}, which is not installed; "
            "run: pip install 'coresplit[report]'"
        ) from error


def picture(figure: Figure, dataset: Dataset) -> bytes:
    """A figure as PNG at twice its size in pixels; nothing is read from a network."""
    png: bytes = library("vl_convert").vegalite_to_png(
        complete(figure, dataset), scale=PNG_SCALE, config=config(), allowed_base_urls=[]
    )
    return png


def complete(figure: Figure, dataset: Dataset) -> Spec:
    """The specification of a figure together with its points."""
    return {**figure.spec, "datasets": {"points": dataset.records(figure.rows)}}


@lru_cache(maxsize=1)
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that can stand inside a page."""
    script: str = library("vl_convert").javascript_bundle()
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
