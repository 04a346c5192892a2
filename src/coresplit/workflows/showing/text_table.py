"""Rows of text as aligned lines."""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDEST = 10_000
"""Columns of a terminal that is never too narrow: piped output must not be cut."""


def aligned(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return the rows with two spaces between columns and none at the end of a line."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        # plain text: brackets in it are not markup
        table.add_row(*map(Text, row))
    page = io.StringIO()
    Console(file=page, width=_WIDEST, color_system=None, force_jupyter=False).print(table)
    return [f"{indent}{line}".rstrip() for line in page.getvalue().splitlines()]
