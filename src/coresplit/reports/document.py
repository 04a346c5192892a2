"""What a report is made of: sections, blocks and figures in page order."""

from collections.abc import Iterator

import msgspec

from coresplit.analysis.rows import Group
from coresplit.charts.figure import Figure
from coresplit.charts.points import ChartPoints
from coresplit.stats.claims import Claims


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
    """Everything drawn for a run, and the one table of points behind it.

    ``noise`` is the noise floor of the run, None where it is not known. ``about`` is what else a
    page tells of the run, as pairs of label and text.
    """

    sections: tuple[Section, ...]
    chart_points: ChartPoints
    claims: Claims
    noise: float | None
    groups: tuple[Group, ...]
    facts: tuple[Fact, ...] = ()
    about: tuple[tuple[str, str], ...] = ()

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures in page order."""
        return (f for section in self.sections for block in section.blocks for f in block.figures)
