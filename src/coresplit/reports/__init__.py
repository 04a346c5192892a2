"""Write the report of a loaded run: a folder of pages and pictures."""

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

    Pictures that an earlier report of the same run left and that are no longer among the figures
    are removed. Returns ``index.html`` if written, else the first file written, else ``out``.
    ``on_progress`` is called with the name of each file before it is made.

    Raises UsageError for an unknown format, EnvironmentFault if a drawing library is missing,
    StorageError if a file cannot be written or removed.
    """
    if unknown := formats - FORMATS:
        names = ", ".join(sorted(FORMATS))
        raise UsageError(f"unknown format '{min(unknown)}'; choose from {names}")
    # Import the drawing code here, so that importing this package stays cheap.
    from coresplit.charts.render import library  # noqa: PLC0415
    from coresplit.reports.compose import document_of  # noqa: PLC0415
    from coresplit.reports.pages.html import html_page  # noqa: PLC0415
    from coresplit.reports.pages.markdown import markdown_page  # noqa: PLC0415

    # Check before writing anything: half a report is worse than none.
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
    """Write every picture and remove those of figures that the run no longer has."""
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
        # replace a link at this path, do not follow it: the folder may belong to someone else
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
