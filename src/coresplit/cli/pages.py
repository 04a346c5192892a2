"""Building the report of a run folder, shared by ``bench`` and ``report``."""

from pathlib import Path

from coresplit import report, store
from coresplit.errors import RunError, UsageError
from coresplit.records import Run

FORMATS = ("html", "markdown", "png", "csv")


def parse_formats(text: str) -> frozenset[str]:
    """Formats in ``html,png``; raises UsageError for an unknown or missing one."""
    formats = [part.strip() for part in text.split(",")]
    unknown = [part for part in formats if part not in FORMATS]
    if unknown:
        raise UsageError(f"unknown format '{unknown[0]}'; choose from {', '.join(FORMATS)}")
    return frozenset(formats)


def build_pages(run: Run, out: Path, formats: frozenset[str] = frozenset(FORMATS)) -> Path:
    """Write the report of ``run`` into ``out``; returns the page to open, or the folder.

    Raises UsageError where ``out`` is a link: in somebody else's folder it may lead anywhere.
    """
    if out.is_symlink():
        raise UsageError(f"{out} is a link; remove it, so that the report lies in the run folder")
    main = out
    if "csv" in formats:
        try:
            store.export_tables(run, out, overwrite=True)
        except RunError:
            # a run without a measured cell has no table; its page says so
            if formats == {"csv"}:
                raise
    drawn = formats - {"csv"}
    if drawn:
        main = report.build(run, out, drawn)
    return main
