"""Write files so that they are complete or absent, and describe failed writes."""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from coresplit.errors import StorageError, UsageError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file size limit is reached",
}


def is_full(error: OSError) -> bool:
    """True if a write failed for lack of space or a failing disk, not because of its path."""
    return error.errno in _REASONS or error.errno == errno.EIO


def reason_of(error: OSError) -> str:
    """Return the cause of an error in words for a message."""
    words = error.strerror or type(error).__name__
    return _REASONS.get(error.errno or 0, words[:1].lower() + words[1:])


def read_regular(file: Path) -> bytes:
    """Return the content of a file; raise OSError, also for a pipe or device, which may not end."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, f"{file.name} is not a regular file", str(file))
        return stream.read()


def write_atomically(file: Path, data: bytes) -> None:
    """Write ``file`` so that it is never seen half-written; raises OSError.

    A link in its place is replaced, not followed.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut, if the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class LineFile:
    """An existing file of whole lines, open for appending and locked against a second writer.

    A link is refused, since appending would change a file elsewhere.
    """

    def __init__(self, file: Path) -> None:
        """Open ``file``; raises UsageError if another process writes to it, and OSError."""
        self._file = file
        self._cut_to: int | None = None
        self._descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        try:
            self._lock()
        except BaseException:
            self.close()
            raise

    def append(self, lines: bytes) -> None:
        """Write and fsync ``lines``; on StorageError the file is as it was before."""
        try:
            self._cut_to = self._end_of_whole_lines()
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
            self._cut_to = None
        except OSError as error:
            with suppress(OSError):
                self._end_of_whole_lines()
            raise self._refused(reason_of(error)) from error

    def cut_torn_line(self) -> None:
        """Remove what follows the last newline, so that the next line starts on its own."""
        try:
            self._cut_to = self._file.read_bytes().rfind(b"\n") + 1
            self._end_of_whole_lines()
        except OSError as error:
            raise self._refused(reason_of(error)) from error

    def close(self) -> None:
        """Close the file and so release its lock; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _end_of_whole_lines(self) -> int:
        if self._descriptor < 0:
            raise ValueError(f"{self._file} was closed")
        if self._cut_to is not None:
            os.ftruncate(self._descriptor, self._cut_to)
            self._cut_to = None
        status = os.fstat(self._descriptor)
        if status.st_nlink == 0:
            raise self._refused("the file was deleted")
        return status.st_size

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{self._file.parent} is in use by another coresplit; "
                "wait for it, stop it, or use another folder"
            ) from error
        except OSError:
            # some network file systems have no locks; measure there anyway
            return

    def _refused(self, reason: str) -> StorageError:
        folder = self._file.parent
        return StorageError(
            f"{reason} while writing {self._file}; what was measured so far is kept in {folder}",
            "fix that and continue with {option}",
            f"resume={folder}",
        )
