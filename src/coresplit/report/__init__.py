"""Turns a loaded run into a folder of pages and pictures."""

from collections.abc import Callable
from pathlib import Path

from coresplit.errors import StorageError, UsageError
from coresplit.records import Run

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

    That is ``index.html``, else the first thing written, else ``out``. ``on_progress`` hears the
    name of each file before it is made. Raises UsageError for an unknown format,
    EnvironmentFault where a drawing library is missing, StorageError where the disk refuses.
    """
    if unknown := formats - FORMATS:
        raise UsageError(f"'{min(unknown)}' is no format; choose from {', '.join(sorted(FORMATS))}")
    # Drawing code loads here, so that importing this package stays cheap.
    from coresplit.report.figures import book_of  # noqa: PLC0415
    from coresplit.report.html import html_page  # noqa: PLC0415
    from coresplit.report.markdown import markdown_page  # noqa: PLC0415
    from coresplit.report.render import library, picture  # noqa: PLC0415

    # Before anything is written: half a report is worse than a refusal.
    for needed in sorted({name for made in formats for name in _LIBRARIES[made]}):
        library(needed)
    tell = on_progress or (lambda name: None)
    book = book_of(run)
    written: list[Path] = []
    if "png" in formats:
        for figure in book.figures:
            tell(f"{figure.name}.png")
            written.append(_write(out / f"{figure.name}.png", picture(figure, book.dataset)))
    if "markdown" in formats:
        tell("index.markdown")
        text = markdown_page(run, book, lambda figure: (out / f"{figure.name}.png").is_file())
        written.append(_write(out / "index.markdown", text.encode()))
    if "html" in formats:
        tell("index.html")
        beside = all((out / f"{figure.name}.png").is_file() for figure in book.figures)
        page = html_page(run, book, pictures=beside)
        written.insert(0, _write(out / "index.html", page.encode()))
    return written[0] if written else out


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error
    return path
