"""One figure: its names, its sentence, its specification and its points."""

import re

import msgspec

from coresplit.charts.theme import Spec

_LONGEST_NAME = 100


class Caption(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a figure: file name after the model, title, alternative text, sentence."""

    name: str
    title: str
    alt: str
    finding: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: file name without ending, alternative text, sentence, chart and its points."""

    name: str
    title: str
    alt: str
    finding: str
    spec: Spec
    rows: tuple[int, ...]


def file_name(text: str) -> str:
    """A name that is safe in a path and in a link: other characters become ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:_LONGEST_NAME] or "_"
