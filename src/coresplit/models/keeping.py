"""Where files that are made of a model are kept while it is in use."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

Keep = Callable[[str, Mapping[str, str], Callable[[Path], None]], Path]
"""Takes a kind, a key and a builder of files in an empty folder; returns the folder."""


def until_exit(kind: str, key: Mapping[str, str], build: Callable[[Path], None]) -> Path:
    """A temporary folder, filled by ``build`` and removed when this process ends."""
    del key
    folder = Path(tempfile.mkdtemp(prefix=f"coresplit-{kind}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder)
    return folder
