"""What a page shows: facts, sections of figures and tables, and what was measured."""

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
    """One line of a table: texts, what to sort by (None is last), and its style.

    ``kind`` is a verdict, or ``lossy``, or empty.
    """

    texts: tuple[str, ...]
    keys: tuple[str | float | None, ...] = ()
    kind: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table: one sentence, column names, lines, and how a page shows it.

    Longer than ``open_up_to`` it is folded at first; its first ``filters`` columns have so few
    different values that they can be chosen from.
    """

    summary: str
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    sortable: bool = False
    filters: int = 0
    open_up_to: int = 40


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Figures and tables under one second-level heading; ``note`` stands above them."""

    heading: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.figures or self.tables)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks under one first-level heading, none of them empty."""

    heading: str
    blocks: tuple[Block, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the pages of a run show, and the one table of points behind its figures.

    ``counts`` are verdicts, how many cells got each, and what each means; ``about`` pairs of label
    and text; ``reading`` says how to read the figures; ``evidence`` is what happened beside cells.
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
        """Whether any cell has a value."""
        return bool(self.chart_points.points)

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures in page order."""
        return (f for section in self.sections for block in section.blocks for f in block.figures)
