"""Exported and compiled artefacts, kept between processes and runs.

An entry is a folder of files that one builder made, named by a digest of everything that the
result depends on. It is built under a lock, so that instances that prepare at once build it once,
and checked by its digest before it is used: a damaged one is built anew. Entries hold code that is
executed, so no other user may have been able to write to them.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import platformdirs

from coresplit.errors import EnvironmentFault, StorageError
from coresplit.private import is_private, make_private, tighten, why_not_private

VARIABLE = "CORESPLIT_CACHE"
_MANIFEST = "entry.json"
_DIGITS = 20
_NAME = re.compile(rf"\w+-[0-9a-f]{{{_DIGITS}}}")
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of an entry; ``size`` in bytes, ``used_at`` Unix time in seconds.

    ``whole`` is whether its files are as they were built, and nobody else's.
    """

    kind: str
    key: dict[str, str]
    path: Path
    size: int
    used_at: float
    whole: bool


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``files`` maps paths to SHA-256 digests; None where another library keeps the folder."""

    kind: str
    key: dict[str, str]
    files: dict[str, str] | None


class Cache:
    """The entries below ``root``: by default the variable CORESPLIT_CACHE, else the user's cache.

    Raises StorageError where the disk refuses, EnvironmentFault where others can write to it.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default_root()

    def get(self, kind: str, key: Mapping[str, str], build: Callable[[Path], None]) -> Path:
        """The folder of an entry, built by ``build`` in an empty folder unless it is there whole.

        ``key`` names everything that the result depends on. What ``build`` raises is passed on.
        """
        path = self._path(kind, key)
        with self._locked(path):
            if _is_whole(path):
                with self._storing():
                    os.utime(path)
                return path
            draft = path.with_name(f"{path.name}.draft")
            with self._storing():
                _remove(path)
                _remove(draft)
                draft.mkdir(mode=0o700)
            try:
                with self._storing(*_REFUSALS):
                    build(draft)
                with self._storing():
                    _describe(draft, _Manifest(kind=kind, key=dict(key), files=_digests(draft)))
                    tighten(draft)
                    draft.rename(path)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return path

    def folder(self, kind: str, key: Mapping[str, str]) -> Path:
        """A folder that a library fills and checks by itself, made if it is not there.

        One that other users could have changed is emptied first.
        """
        path = self._path(kind, key)
        with self._locked(path), self._storing():
            if not _is_own(path):
                _remove(path)
            path.mkdir(mode=0o700, exist_ok=True)
            _describe(path, _Manifest(kind=kind, key=dict(key), files=None))
        return path

    def holds(self, path: Path) -> bool:
        """Whether a folder is an entry that is as it was built, and nobody else's."""
        named = path.parent == self.root and _NAME.fullmatch(path.name)
        return bool(named) and _is_whole(path)

    def entries(self) -> list[Entry]:
        """Every entry, damaged ones too, the last used first."""
        found = [_entry(path) for path in self._folders()]
        return sorted(found, key=lambda entry: (-entry.used_at, entry.path))

    def clear(self) -> int:
        """Remove every entry but those that are being built; returns the bytes that were freed."""
        freed = 0
        for entry in self.entries():
            try:
                with self._locked(entry.path, wait=False), self._storing():
                    _remove(entry.path)
                    _lock_of(entry.path).unlink()
                    freed += entry.size
            except BlockingIOError:
                continue
        return freed

    def _path(self, kind: str, key: Mapping[str, str]) -> Path:
        return self.root / f"{kind}-{_digest_of_key(kind, key)}"

    def _folders(self) -> list[Path]:
        with self._storing():
            if not self.root.is_dir():
                return []
            self._check()
            return [
                each for each in self.root.iterdir() if _NAME.fullmatch(each.name) and each.is_dir()
            ]

    @contextmanager
    def _locked(self, path: Path, wait: bool = True) -> Iterator[None]:
        """Hold the lock of an entry; raises BlockingIOError where it is held and not waited for."""
        while True:
            with self._storing():
                make_private(self.root)
                self._check()
                lock = os.fdopen(os.open(_lock_of(path), _LOCK_FLAGS, 0o600))
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                # whoever held it may have cleared the cache, and then another file is the lock
                if _same(lock.fileno(), _lock_of(path)):
                    yield
                    return

    def _check(self) -> None:
        """Raise EnvironmentFault where other users could put files into the cache."""
        why = why_not_private(self.root)
        if why is not None:
            raise EnvironmentFault(
                f"the cache {self.root} {why}, and what is in it is executed; name a folder of "
                f"your own in {VARIABLE}, or remove this one if nothing else is in it"
            )

    @contextmanager
    def _storing(self, *numbers: int) -> Iterator[None]:
        """Turn an OSError, if given one of these numbers, into one line for the user."""
        try:
            yield
        except OSError as error:
            if numbers and error.errno not in numbers:
                raise
            raise StorageError(
                f"the cache {self.root} cannot be used: {error.strerror or error}; "
                f"free space there, or name another folder in {VARIABLE}"
            ) from error


def _default_root() -> Path:
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    try:
        path = platformdirs.user_cache_path("coresplit")
    except RuntimeError:
        path = Path("~")
    # what it gives for a user without a home depends on its version
    if path.parts[:1] == ("~",):
        raise EnvironmentFault(
            f"there is no home folder to keep the cache in; set HOME or {VARIABLE}"
        )
    return path


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _describe(path: Path, manifest: _Manifest) -> None:
    file = path / _MANIFEST
    file.write_bytes(msgspec.json.encode(manifest))
    tighten(file)


def _digest_of_key(kind: str, key: Mapping[str, str]) -> str:
    text = msgspec.json.encode([kind, sorted(key.items())])
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(folder))] = digest
    return found


def _is_own(path: Path) -> bool:
    try:
        return is_private(path)
    except OSError:
        return False


def _is_whole(path: Path) -> bool:
    if not _is_own(path):
        return False
    try:
        manifest = msgspec.json.decode((path / _MANIFEST).read_bytes(), type=_Manifest)
        return manifest.files is None or manifest.files == _digests(path)
    except (OSError, msgspec.DecodeError):
        return False


def _entry(path: Path) -> Entry:
    kind, key = path.name.rpartition("-")[0], {}
    try:
        if _is_own(path):
            manifest = msgspec.json.decode((path / _MANIFEST).read_bytes(), type=_Manifest)
            kind, key = manifest.kind, manifest.key
    except (OSError, msgspec.DecodeError):
        pass
    return Entry(
        kind=kind,
        key=key,
        path=path,
        size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        used_at=path.stat().st_mtime,
        whole=_is_whole(path),
    )
