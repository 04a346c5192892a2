"""The page for a static site: front matter, headings and pictures as published; pure."""

import html
import json
from collections.abc import Callable, Sequence

from coresplit.analysis.rows import undrawn_of
from coresplit.charts.figure import Figure
from coresplit.records import Run
from coresplit.reports.document import Document, Table
from coresplit.reports.sections.overview import about, facts_of, sentence_of

MOST_UNDRAWN = 200
"""Most cells listed by name in the table of cells that are not drawn."""


def markdown_page(run: Run, document: Document, has_picture: Callable[[Figure], bool]) -> str:
    """The whole page; a figure whose picture is not there keeps its sentence only."""
    lines = [
        "---",
        "layout: scalebench",
        f"title:  {json.dumps(_title(run.model.title), ensure_ascii=False)}",
        "---",
        "",
        *_summary(run, document),
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
    lines += _undrawn(run, document)
    return "\n".join(lines) + "\n"


def _title(text: str) -> str:
    """Text that a site may put into its pages as it is; JSON takes care of line breaks."""
    return "".join(
        " " if letter in "<>{}" or not (letter.isprintable() or letter < " ") else letter
        for letter in text
    )


def _summary(run: Run, document: Document) -> list[str]:
    lines = [f"<p>{_safe(sentence_of(run))}</p>", ""]
    if not document.groups:
        return [*lines, "<p>No cell of this run has a value that can be drawn.</p>"]
    for fact in facts_of(run, document):
        lines.append(f"- {_safe(fact.label)}: **{_safe(fact.value)}** ({_safe(fact.note)})")
    lines += ["", *_table(("What", "Value"), about(run, document))]
    return lines


def _figure(figure: Figure, has_picture: bool) -> list[str]:
    lines = [f"<p>{_safe(figure.finding)}</p>"]
    if has_picture:
        source = f'src="./{figure.name}.png" alt="{_safe(figure.alt)}"'
        lines += ["", '<p float="left">', f'<img {source} width="100%"/>', "</p>"]
    return lines


def _folded(table: Table) -> list[str]:
    """A table below its sentence; folded where it is long."""
    lines = _table(table.head, [line.texts for line in table.lines])
    if len(table.lines) <= table.open_up_to:
        return [f"<p>{_safe(table.summary)}</p>", "", *lines]
    return ["<details>", f"<summary>{_safe(table.summary)}</summary>", *lines, "</details>"]


def _undrawn(run: Run, document: Document) -> list[str]:
    items = undrawn_of(run, document.claims.points)
    if not items:
        return []
    rows = [(str(item.cell), item.verdict, item.reason) for item in items[:MOST_UNDRAWN]]
    lines = ["", "# Cells Not Drawn", "", *_table(("Cell", "Verdict", "Reason"), rows)]
    if len(items) > MOST_UNDRAWN:
        lines += ["", f"<p>And {len(items) - MOST_UNDRAWN} more; the run folder has them all.</p>"]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as HTML: cells may then hold any text."""
    titles = "".join(f"<th>{_safe(title)}</th>" for title in head)
    lines = ["<table>", f"<tr>{titles}</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{_safe(text)}</td>" for text in row) + "</tr>")
    return [*lines, "</table>"]


def _safe(text: str) -> str:
    """Text on one line that neither HTML, Markdown nor a template language reads as its own."""
    plain = html.escape(" ".join(text.split()), quote=True)
    for sign in "{}[]*_`\\|":
        plain = plain.replace(sign, f"&#{ord(sign)};")
    return plain
