"""Folders that nobody but the user can write to, so that what lies in them may be executed."""

import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


def make_private(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone; raises OSError."""
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def why_not_private(path: Path) -> str | None:
    """Who but the user could put files into a folder, as the end of a sentence; None if nobody.

    A folder above it may be writable by all only with the sticky bit, as /tmp is: else they could
    put another in its place. Raises OSError.
    """
    path = Path(os.path.realpath(path))
    found = path.stat()
    if found.st_uid not in _owners():
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & _OTHERS_WRITE:
        return "can be written by other users"
    for above in path.parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"can be replaced by other users, who may write to {above}"
    return None


def is_private(path: Path) -> bool:
    """Whether a folder and all in it are files and folders that only the user could have changed.

    A link is neither. What vanishes meanwhile does not count. Raises OSError.
    """
    if not _is_own(path.lstat()) or not stat.S_ISDIR(path.lstat().st_mode):
        return False
    with os.scandir(path) as entries:
        return all(_is_private(each) for each in entries)


def tighten(path: Path) -> None:
    """Take the right to write from everyone else, whatever the umask; raises OSError.

    ``path`` is a file or a folder with all that is in it; links are left as they are.
    """
    if path.is_symlink():
        return
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS_WRITE)
    if path.is_dir():
        for each in path.iterdir():
            tighten(each)


def _is_private(entry: "os.DirEntry[str]") -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            return is_private(Path(entry.path))
        return stat.S_ISREG(found.st_mode) and _is_own(found)
    except FileNotFoundError:
        return True


def _is_own(found: os.stat_result) -> bool:
    return found.st_uid in _owners() and not found.st_mode & _OTHERS_WRITE


def _owners() -> tuple[int, int]:
    """The superuser can do anything anyway."""
    return _ROOT, os.geteuid()
