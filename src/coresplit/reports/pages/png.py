"""Store the name of the run in its pictures, to recognize those of an earlier report."""

import json
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

_HEAD = 33
"""Bytes of a PNG before its second chunk: the signature and IHDR."""
_KEY = b"coresplit\0"


def signed(png: bytes, run: str) -> bytes:
    """The picture with the name of its run as a text chunk (PNG 3rd edition, 11.3.3.2 tEXt)."""
    body = b"tEXt" + _KEY + json.dumps(run).encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEAD] + chunk + png[_HEAD:]


def run_of_picture(path: Path) -> str | None:
    """The name of the run that a picture was signed with; None for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD + 8)
            length = int.from_bytes(head[_HEAD : _HEAD + 4])
            if head[_HEAD + 4 :] != b"tEXt" or length > 1 << 16:
                return None
            text = file.read(length)
    except OSError:
        return None
    if not text.startswith(_KEY):
        return None
    try:
        name = json.loads(text[len(_KEY) :])
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def remove_others(folder: Path, run: str, kept: Collection[str]) -> tuple[Path, ...]:
    """Remove pictures signed with this run that are not among the names kept.

    Anything else in the folder stays: other files, pictures of other runs, links. Returns the
    removed files; raises OSError if one cannot be removed.
    """
    stale = [
        path
        for path in sorted(folder.glob("*.png"))
        if path.name not in kept
        and not path.is_symlink()
        and path.is_file()
        and run_of_picture(path) == run
    ]
    for path in stale:
        path.unlink(missing_ok=True)
    return tuple(stale)
