"""The page of a comparison: one file that works from disk and needs no network.

    python benchmarks/serving/comparison_page.py DIR

Writes ``index.html`` and ``comparison.txt`` again from the ``*.json`` files in DIR.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import jinja2
import msgspec
from compared import JUDGED, Comparison, Figure, LoadName, Row, rows_of
from comparison_words import (
    FIGURES,
    head_of,
    line_of,
    lines_of,
    standing_text,
    summary_of,
    warnings_of,
)
from markupsafe import Markup

import coresplit
from coresplit.reports.document import Block, Fact, Line, Section, Table
from coresplit.reports.wording import date

HERE = Path(__file__).resolve().parent
_TITLES: dict[LoadName, str] = {
    "light": "Light load",
    "medium": "Medium load",
    "saturating": "Saturating load",
}
_READING = (
    "Every ratio says how many times as good coresplit is: more throughput, or less latency, CPU "
    "or memory; below 1 coresplit is worse. It is the median of the ratios within rounds, with "
    "its 95 % interval. A difference is reported if a t test over the rounds shows it, with the "
    "false discovery rate held at 1 % over all tests of a model. Everything else is equal within "
    "3 %, which also needs a test, or too close to call. Figures are medians over rounds, the 99th "
    "percentile is over the requests of all rounds. Latency counts from when a request was due. "
    "Every server was restarted in each round, and was alone on the machine."
)
HEADLINES: tuple[tuple[LoadName, Figure], ...] = (
    *((load, figures[0]) for load, figures in JUDGED.items()),
    ("saturating", "memory"),
)
"""The figures that are drawn, and counted at the top: those for ranking servers, and memory."""
_LEFT, _WIDTH, _STEP, _TOP = 150, 420, 20, 8
_SPAN = 8.0
"""Charts reach from an eighth to eight times."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One server in a chart, in pixels."""

    label: str
    y: float
    x: float
    low: float
    high: float
    kind: str
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as good coresplit is as each other server in one figure, on a log axis."""

    title: str
    width: int
    height: float
    left: int
    one: float
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that the frame of the pages needs, and the charts."""

    title: str
    created: str
    sentence: str
    facts: tuple[Fact, ...]
    about: tuple[tuple[str, str], ...]
    reading: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    charts: tuple[tuple[str, tuple[Chart, ...]], ...]
    version: str


def page_of(found: Sequence[Comparison]) -> Page:
    """Return everything that the page shows for one or several comparisons."""
    return Page(
        title="coresplit serve compared with its peers",
        created=", ".join(dict.fromkeys(date(each.created_at) for each in found)),
        sentence=", ".join(each.title for each in found) + ". Losses are shown as clearly as wins.",
        facts=tuple(_fact(each, *one) for each in found for one in HEADLINES),
        about=tuple(pair for each in found for pair in _about(each, several=len(found) > 1)),
        reading=_READING,
        warnings=tuple(
            f"{each.title}: {warning}" for each in found for warning in warnings_of(each)
        ),
        sections=tuple(_section(each) for each in found),
        charts=tuple((each.title, _charts(each)) for each in found),
        version=coresplit.__version__,
    )


def html_of(found: Sequence[Comparison]) -> str:
    """Return the whole page."""
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.ChoiceLoader(
            [
                jinja2.FileSystemLoader(HERE),
                jinja2.PackageLoader("coresplit.reports.pages", "assets"),
            ]
        ),
    )

    def asset(name: str) -> Markup:
        loader = environment.loader
        assert loader is not None
        return Markup(loader.get_source(environment, name)[0])

    return environment.get_template("comparison.html").render(
        document=page_of(found),
        style=asset("page.css"),
        script=asset("page.js"),
        library="",
        data=Markup('{"figures": []}'),
        size=(0, 0),
        pictures=False,
    )


def write(folder: Path) -> list[Path]:
    """Write the page and the plain text of all comparisons with results in a folder."""
    files = folder.glob("*.json")
    found = [msgspec.json.decode(each.read_bytes(), type=Comparison) for each in files]
    found.sort(key=lambda each: each.created_at)
    page, text = folder / "index.html", folder / "comparison.txt"
    page.write_text(html_of(found))
    text.write_text("\n\n\n".join("\n".join(lines_of(each)) for each in found) + "\n")
    return [page, text]


def _fact(comparison: Comparison, load: LoadName, figure: Figure) -> Fact:
    rows = rows_of(comparison)[load]
    standings = [row.standings[figure] for row in rows if figure in row.standings]
    ahead = sum(each.relation == "faster" for each in standings)
    behind = sum(each.relation == "slower" for each in standings)
    value = f"{ahead} wins, {behind} losses" if standings else "not compared"
    rest = len(standings) - ahead - behind
    note = f"{FIGURES[figure]}, {rest} equal or too close to call"
    return Fact(label=f"{comparison.title}: {load} load", value=value, note=note)


def _about(comparison: Comparison, *, several: bool) -> list[tuple[str, str]]:
    before = f"{comparison.title}: " if several else ""
    return [(f"{before}{label}", text) for label, text in comparison.about]


def _section(comparison: Comparison) -> Section:
    blocks = []
    for load, rows in rows_of(comparison).items():
        note = " ".join(f"{_sentence(summary_of(rows, each))}." for each in JUDGED[load])
        table = Table(
            summary=comparison.loads[load],
            head=head_of(load),
            lines=tuple(_line(comparison, row, load) for row in rows),
            sortable=True,
        )
        blocks.append(Block(heading=_TITLES[load], tables=(table,), note=note))
    options = Table(
        summary="The options of each server",
        head=("server", "options"),
        lines=tuple(Line(texts=(each.label, each.options)) for each in comparison.servers),
        open_up_to=0,
    )
    blocks.append(Block(heading="Settings", tables=(options,)))
    return Section(heading=comparison.title, blocks=tuple(blocks))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _line(comparison: Comparison, row: Row, load: LoadName) -> Line:
    first = row.standings.get(JUDGED[load][0])
    kind = "own" if row.server.label == comparison.own else first.relation if first else ""
    judged = [row.standings.get(each) for each in JUDGED[load]]
    return Line(
        texts=line_of(row, load),
        keys=(
            row.server.label,
            row.throughput,
            row.p50,
            row.p99,
            row.cpu,
            row.resident,
            row.memory,
            row.errors,
            *(None if each is None else each.ratio for each in judged),
        ),
        kind=kind,
    )


def _charts(comparison: Comparison) -> tuple[Chart, ...]:
    found = []
    by_load = rows_of(comparison)
    for load, figure in HEADLINES:
        rows = by_load[load]
        marks: list[Mark] = []
        for row in rows:
            standing = row.standings.get(figure)
            if standing is not None:
                marks.append(
                    Mark(
                        label=row.server.label,
                        y=_TOP + _STEP * (len(marks) + 0.5),
                        x=_across(standing.ratio),
                        low=_across(standing.low),
                        high=_across(standing.high),
                        kind=standing.relation,
                        text=standing_text(standing),
                    )
                )
        if marks:
            what = "median latency" if figure == "p50" else FIGURES[figure]
            found.append(
                Chart(
                    title=f"{_TITLES[load]}, {what}: how many times as good coresplit is",
                    width=_LEFT + _WIDTH + _TOP,
                    height=_TOP + _STEP * len(marks),
                    left=_LEFT,
                    one=_across(1.0),
                    ticks=tuple((_across(each), f"{each:g}") for each in (0.25, 0.5, 1, 2, 4)),
                    marks=tuple(marks),
                )
            )
    return tuple(found)


def _across(ratio: float) -> float:
    """Return the x position of a ratio in a chart, clamped to its ends."""
    share = math.log(min(max(ratio, 1 / _SPAN), _SPAN)) / math.log(_SPAN)
    return round(_LEFT + _WIDTH * (1 + share) / 2, 1)


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
