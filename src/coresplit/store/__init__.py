"""Run folders on disk, and the published CSV tables they are imported from and exported to."""

from coresplit.store.published.reading import import_tables
from coresplit.store.published.writing import export_tables, left_out
from coresplit.store.reader import load
from coresplit.store.upgrade import UPGRADERS
from coresplit.store.writer import RunWriter, create, reopen, require_new, save

__all__ = [
    "UPGRADERS",
    "RunWriter",
    "create",
    "export_tables",
    "import_tables",
    "left_out",
    "load",
    "reopen",
    "require_new",
    "save",
]
