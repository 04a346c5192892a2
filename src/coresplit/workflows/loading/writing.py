"""Writing what a load showed: its numbers, and a page."""

from pathlib import Path

import msgspec

from coresplit.errors import StorageError
from coresplit.records.load import LoadResult


def write_load(result: LoadResult, out: Path) -> Path:
    """Write ``result.json`` into a folder; returns it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(result), indent=1)
        (out / "result.json").write_bytes(text + b"\n")
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from error
    return out / "result.json"
