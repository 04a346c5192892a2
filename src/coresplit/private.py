"""Folders that nobody but the user can write to, so that what lies in them may be executed."""

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0
_MOST_LINKS = 40


def make_private(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone; raises OSError."""
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def why_not_private(path: Path) -> str | None:
    """Who but the user could put files into a folder, as the end of a sentence; None if nobody.

    Nobody else may replace what it lies in, links on the way to it included: folders that others
    may write to need the sticky bit, as /tmp has it. Raises OSError.
    """
    *above, last = _way_to(path)
    found = last.stat()
    if found.st_uid not in _owners():
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & _OTHERS_WRITE:
        return "can be written by other users"
    for each in above:
        found = each.lstat()
        # root may use a cache in the home of the user whom it works for
        if found.st_uid not in _owners() and (stat.S_ISLNK(found.st_mode) or os.geteuid() != _ROOT):
            return f"can be replaced by another user (uid {found.st_uid}), who owns {each}"
        if not stat.S_ISLNK(found.st_mode) and _can_swap(found):
            return f"can be replaced by other users, who may write to {each}"
    return None


def _way_to(path: Path) -> list[Path]:
    """Every folder and link that decides where ``path`` leads, from the top to where it ends."""
    at, rest = Path("/"), list(path.absolute().parts[1:])
    way = [at]
    for links in range(_MOST_LINKS + 1):
        while rest and not (at / rest[0]).is_symlink():
            name = rest.pop(0)
            at = at.parent if name == os.pardir else at / name
            way.append(at)
        if not rest or links == _MOST_LINKS:
            break
        link = at / rest.pop(0)
        way.append(link)
        target = link.readlink()
        at = Path("/") if target.is_absolute() else at
        rest = [part for part in target.parts if part != "/"] + rest
    if rest:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return way


def _can_swap(found: os.stat_result) -> bool:
    """Whether others can put another file in the place of one that a folder holds."""
    if found.st_mode & stat.S_ISVTX or not found.st_mode & _OTHERS_WRITE:
        return False
    return bool(found.st_mode & stat.S_IWOTH) or not _is_own_group(found.st_gid)


def _is_own_group(gid: int) -> bool:
    """Whether it is the group of this user alone, where every user has one."""
    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


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
