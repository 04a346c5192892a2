"""The content of a page: facts, sections of figures and tables, and what was measured."""

from collections.abc import Iterator

import msgspec

from coresplit.charts.figure import Figure
from coresplit.charts.points import ChartPoints
from coresplit.records import Verdict


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One key fact: what it is, its value, and where it was found."""

    label: str
    value: str
    note: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table: texts, sort keys (None sorts last), and its style.

    ``kind`` is a verdict, or ``lossy``, or empty.
    """

    texts: tuple[str, ...]
    keys: tuple[str | float | None, ...] = ()
    kind: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table: a one-sentence summary, column names, lines, and how a page shows it.

    A table of more than ``open_up_to`` lines starts folded. The first ``filters`` columns have few
    distinct values, so the page offers them as filters.
    """

    summary: str
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    sortable: bool = False
    filters: int = 0
    open_up_to: int = 40


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Figures and tables under one second-level heading; ``note`` is shown above them."""

    heading: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""

    @property
    def empty(self) -> bool:
        """True if there is nothing to show."""
        return not (self.figures or self.tables)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks under one first-level heading, none of them empty."""

    heading: str
    blocks: tuple[Block, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the pages of a run show, and the one table of points behind its figures.

    ``counts`` holds each verdict, how many cells got it, and its meaning; ``about`` holds pairs of
    label and text; ``reading`` says how to read the figures; ``evidence`` holds tables of events
    of the run other than cells.
    """

    run: str
    title: str
    created: str
    sentence: str
    facts: tuple[Fact, ...]
    about: tuple[tuple[str, str], ...]
    counts: tuple[tuple[Verdict, int, str], ...]
    reading: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    cells: Table
    undrawn: Table
    evidence: tuple[Block, ...]
    chart_points: ChartPoints

    @property
    def drawable(self) -> bool:
        """True if any cell has a value."""
        return bool(self.chart_points.points)

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures in page order."""
        return (f for section in self.sections for block in section.blocks for f in block.figures)
