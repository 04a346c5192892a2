"""Build the report of a run folder."""

from collections.abc import Collection
from pathlib import Path

from coresplit import reports, store
from coresplit.errors import RunError, UsageError
from coresplit.records import Run
from coresplit.workflows.request import Note

FORMATS = ("html", "markdown", "png", "csv")


def build_pages(
    run: Run, out: Path, formats: Collection[str] = FORMATS, on_progress: Note = lambda name: None
) -> Path:
    """Write the report of ``run`` into ``out``; return the page to open, or the folder.

    ``on_progress`` gets the name of each file before it is made. Raises UsageError for an unknown
    format, and if ``out`` is a link: in a folder from someone else it may lead anywhere.
    """
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise UsageError(f"unknown format '{unknown[0]}'; choose from {', '.join(FORMATS)}")
    if out.is_symlink():
        raise UsageError(f"{out} is a link; remove it so that the report goes into the run folder")
    main = out
    if "csv" in formats:
        try:
            store.export_tables(run, out, overwrite=True)
        except RunError:
            # a run without a measured cell has no table; its page says so
            if set(formats) == {"csv"}:
                raise
    drawn = frozenset(formats) - {"csv"}
    if drawn:
        main = reports.build(run, out, drawn, on_progress)
    return main
