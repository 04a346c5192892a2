"""The page of a load test: one file that works from disk without a network."""

from coresplit.charts.render import javascript, library
from coresplit.charts.theme import TOTAL, config
from coresplit.records.load import LoadResult
from coresplit.reports.loads.compose import load_document
from coresplit.reports.pages.html import rendered


def require_drawing() -> None:
    """Raise EnvironmentFault with the remedy if a drawing library is missing."""
    for name in ("vl_convert", "jinja2"):
        library(name)


def load_page(result: LoadResult) -> str:
    """The whole page. Raises EnvironmentFault if a drawing library is missing."""
    document = load_document(result)
    data = {
        "config": config(),
        "columns": (),
        "points": (),
        "figures": [{"spec": figure.spec, "rows": ()} for figure in document.figures],
    }
    return rendered(
        "load.html",
        data,
        document=document,
        pictures=False,
        size=TOTAL,
        library=javascript() if document.figures else "",
    )
