"""The page for a static site, laid out like the published one; pure."""

import html
import json
from collections.abc import Callable, Sequence

from coresplit.charts.figure import Figure
from coresplit.reports.document import Document, Table

MOST_UNDRAWN = 200
"""Most cells listed by name in the table of cells that are not drawn."""


def markdown_page(document: Document, has_picture: Callable[[Figure], bool]) -> str:
    """The whole page; a figure without a picture is reduced to its sentence."""
    lines = [
        "---",
        "layout: scalebench",
        f"title:  {json.dumps(_title(document.title), ensure_ascii=False)}",
        "---",
        "",
        *_summary(document),
    ]
    for section in document.sections:
        lines += ["", f"# {_safe(section.heading)}"]
        for block in section.blocks:
            lines += ["", f"## {_safe(block.heading)}"]
            lines += ["", f"<p>{_safe(block.note)}</p>"] if block.note else []
            for figure in block.figures:
                lines += ["", *_figure(figure, has_picture(figure))]
            for table in block.tables:
                lines += ["", *_folded(table)]
    lines += _undrawn(document.undrawn)
    return "\n".join(lines) + "\n"


def _title(text: str) -> str:
    """Text that a site can insert into its pages unescaped; JSON handles line breaks."""
    return "".join(
        " " if letter in "<>{}" or not (letter.isprintable() or letter < " ") else letter
        for letter in text
    )


def _summary(document: Document) -> list[str]:
    lines = [f"<p>{_safe(document.sentence)}</p>", ""]
    if not document.drawable:
        return [*lines, "<p>No cell of this run has a value that can be drawn.</p>"]
    for fact in document.facts:
        lines.append(f"- {_safe(fact.label)}: **{_safe(fact.value)}** ({_safe(fact.note)})")
    lines += ["", *_table(("What", "Value"), document.about)]
    return lines


def _figure(figure: Figure, has_picture: bool) -> list[str]:
    lines = [f"<p>{_safe(figure.finding)}</p>"]
    if has_picture:
        source = f'src="./{figure.name}.png" alt="{_safe(figure.alt)}"'
        lines += ["", '<p float="left">', f'<img {source} width="100%"/>', "</p>"]
    return lines


def _folded(table: Table) -> list[str]:
    """A table below its sentence; folded if it is long."""
    lines = _table(table.head, [line.texts for line in table.lines])
    if len(table.lines) <= table.open_up_to:
        return [f"<p>{_safe(table.summary)}</p>", "", *lines]
    return ["<details>", f"<summary>{_safe(table.summary)}</summary>", *lines, "</details>"]


def _undrawn(table: Table) -> list[str]:
    if not table.lines:
        return []
    head = [name.capitalize() for name in table.head]
    rows = [line.texts for line in table.lines[:MOST_UNDRAWN]]
    lines = ["", "# Cells Not Drawn", "", *_table(head, rows)]
    if more := len(table.lines[MOST_UNDRAWN:]):
        lines += ["", f"<p>And {more} more; see the run folder for all.</p>"]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as HTML, so that its cells may hold any text."""
    titles = "".join(f"<th>{_safe(title)}</th>" for title in head)
    lines = ["<table>", f"<tr>{titles}</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{_safe(text)}</td>" for text in row) + "</tr>")
    return [*lines, "</table>"]


def _safe(text: str) -> str:
    """Text on one line, escaped for HTML, Markdown and template languages."""
    plain = html.escape(" ".join(text.split()), quote=True)
    for sign in "{}[]*_`\\|":
        plain = plain.replace(sign, f"&#{ord(sign)};")
    return plain
