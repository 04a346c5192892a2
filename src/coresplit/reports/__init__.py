"""Turns a loaded run into a folder of pages and pictures."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coresplit.errors import StorageError, UsageError
from coresplit.records import Run
from coresplit.stats.sampling import judged

if TYPE_CHECKING:
    from coresplit.reports.document import Document

FORMATS = frozenset({"html", "markdown", "png"})

__all__ = ["FORMATS", "build"]

_LIBRARIES = {"html": ("vl_convert", "jinja2"), "png": ("vl_convert",), "markdown": ()}


def build(
    run: Run,
    out: Path,
    formats: frozenset[str] = FORMATS,
    on_progress: Callable[[str], None] | None = None,
) -> Path:
    """Write the pages and pictures of a run into ``out`` and return the page to open.

    Pictures of an earlier report of the same run that are no longer among the figures are
    removed. What is returned is ``index.html``, else the first thing written, else ``out``.
    ``on_progress`` hears the name of each file before it is made.

    Raises UsageError for an unknown format, EnvironmentFault where a drawing library is
    missing, StorageError where the disk refuses.
    """
    if unknown := formats - FORMATS:
        raise UsageError(f"'{min(unknown)}' is no format; choose from {', '.join(sorted(FORMATS))}")
    # Drawing code loads here, so that importing this package stays cheap.
    from coresplit.charts.render import library  # noqa: PLC0415
    from coresplit.reports.compose import document_of  # noqa: PLC0415
    from coresplit.reports.pages.html import html_page  # noqa: PLC0415
    from coresplit.reports.pages.markdown import markdown_page  # noqa: PLC0415

    # Before anything is written: half a report is worse than a refusal.
    for needed in sorted({name for made in formats for name in _LIBRARIES[made]}):
        library(needed)
    tell = on_progress or (lambda name: None)
    run = judged(run)
    document = document_of(run)
    written: list[Path] = []
    if "png" in formats:
        written += _draw(run, document, out, tell)
    if "markdown" in formats:
        tell("index.markdown")
        text = markdown_page(document, lambda figure: (out / f"{figure.name}.png").is_file())
        written.append(_write(out / "index.markdown", text.encode()))
    if "html" in formats:
        tell("index.html")
        beside = all((out / f"{figure.name}.png").is_file() for figure in document.figures)
        page = html_page(document, pictures=beside)
        written.insert(0, _write(out / "index.html", page.encode()))
    return written[0] if written else out


def _draw(run: Run, document: "Document", out: Path, tell: Callable[[str], None]) -> list[Path]:
    """Write every picture, and remove those of figures that the run has no more."""
    from coresplit.charts.render import picture  # noqa: PLC0415
    from coresplit.reports.pages.png import remove_others, signed  # noqa: PLC0415

    written = []
    for figure in document.figures:
        tell(f"{figure.name}.png")
        png = signed(picture(figure, document.chart_points), run.name)
        written.append(_write(out / f"{figure.name}.png", png))
    try:
        remove_others(out, run.name, {path.name for path in written})
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"cannot remove old pictures of {out}: {reason}") from error
    return written


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a link in its place is replaced, not followed: the folder may be somebody else's
        partial = path.with_name(f".{os.getpid()}.partial")
        if os.path.lexists(partial):
            partial.unlink()
        with partial.open("xb") as file:
            file.write(content)
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error
    return path
