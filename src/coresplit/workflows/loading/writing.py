"""Write the results of a load: its numbers and a page."""

import os
from pathlib import Path

import msgspec

from coresplit.errors import StorageError, UsageError
from coresplit.records.load import LoadResult


def prepare_folder(out: Path) -> None:
    """Make the folder before measuring, so that no measurement is lost; raises StorageError.

    Also checks for the libraries that drawing needs: EnvironmentFault if one is missing.
    """
    from coresplit.reports.loads.page import require_drawing  # noqa: PLC0415 (drawing)

    require_drawing()
    if out.is_symlink():
        raise UsageError(f"{out} is a link; name the folder itself")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from error


def write_load(result: LoadResult, out: Path) -> Path:
    """Write ``result.json`` and ``index.html`` into a folder; return the page."""
    from coresplit.reports.loads.page import load_page  # noqa: PLC0415 (drawing)

    text = msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"
    _write(out / "result.json", text)
    page = out / "index.html"
    _write(page, load_page(result).encode())
    return page


def read_load(path: Path) -> LoadResult:
    """Read what ``write_load`` wrote; raises UsageError if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoadResult)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a result of a load: {error}") from error


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
