"""What a report is made of: sections, blocks and figures in page order."""

import re
from collections.abc import Iterator

import msgspec

from coresplit.report.contrast import Floor
from coresplit.report.dataset import Dataset
from coresplit.report.table import Group
from coresplit.report.theme import Spec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: file name without ending, alternative text, sentence, chart and its points."""

    name: str
    title: str
    alt: str
    finding: str
    spec: Spec
    rows: tuple[int, ...]


class Caption(msgspec.Struct, frozen=True, kw_only=True):
    """What names a figure: its file name after the model, alternative text and sentence."""

    name: str
    alt: str
    finding: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Figures under one second-level heading."""

    heading: str
    figures: tuple[Figure, ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks under one first-level heading, none of them empty."""

    heading: str
    blocks: tuple[Block, ...]


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Everything drawn for a run, and the one table of points behind it."""

    sections: tuple[Section, ...]
    dataset: Dataset
    floor: Floor
    groups: tuple[Group, ...]

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures in page order."""
        return (f for section in self.sections for block in section.blocks for f in block.figures)


def file_name(text: str) -> str:
    """A name that is safe in a path and in a link: other characters become ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".") or "_"
