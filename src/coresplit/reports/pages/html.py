"""The interactive page: one file that works from disk without a network."""

from importlib import resources
from typing import Any

import msgspec

from coresplit.charts.points import COLUMNS
from coresplit.charts.render import javascript, library
from coresplit.charts.theme import TOTAL, config
from coresplit.reports.document import Document


def html_page(document: Document, *, pictures: bool) -> str:
    """The whole page; ``pictures`` says whether its folder has a PNG of every figure."""
    return rendered(
        "page.html",
        _data(document),
        document=document,
        pictures=pictures,
        size=TOTAL,
        library=javascript() if document.drawable else "",
    )


def rendered(template: str, data: dict[str, Any], **values: Any) -> str:  # noqa: ANN401 (jinja)
    """Render a page from one of the templates; ``data`` is what its script draws from.

    The value ``library`` is a script and is inserted unescaped.
    """
    jinja = library("jinja2")
    environment = jinja.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja.StrictUndefined,
        loader=jinja.FunctionLoader(_asset),
    )
    safe = library("markupsafe").Markup
    values["library"] = safe(values["library"])
    page: str = environment.get_template(template).render(
        style=safe(_asset("page.css")),
        script=safe(_asset("page.js")),
        data=safe(_json(data)),
        **values,
    )
    return page


def _data(document: Document) -> dict[str, Any]:
    """What the script draws from: every point once, and the point indices of every figure."""
    return {
        "config": config(),
        "columns": COLUMNS,
        "points": document.chart_points.points,
        "figures": [{"spec": figure.spec, "rows": figure.rows} for figure in document.figures],
    }


def _json(value: object) -> str:
    """JSON that is safe inside a script element: it has no character that opens a tag."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return resources.files("coresplit.reports.pages").joinpath("assets", name).read_text("utf-8")
