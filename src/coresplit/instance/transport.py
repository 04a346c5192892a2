"""Memory that a server's front shares with its instances, and the allocation of its blocks."""

import ctypes
import fcntl
import mmap
import os
from bisect import bisect_left, insort
from contextlib import suppress

ALIGNMENT = 64
"""Alignment of libraries' own buffers; with it they compute the same results on the arena."""
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Arena:
    """Anonymous memory shared by the front and all instances.

    It is freed when the last process that holds it ends, even by a crash. No process can shrink it,
    so none can cause a SIGBUS in another. Raises OSError if the kernel refuses the memory.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._map = mmap.mmap(fd, size)

    @classmethod
    def create(cls, size: int) -> "Arena":
        """Create an arena of zeros; a page takes memory once it is written."""
        fd = os.memfd_create("coresplit", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            return cls(fd, size)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int, size: int) -> "Arena":
        """Open the arena of a descriptor passed on by another process; takes ownership of it.

        Raises ValueError if the arena does not have ``size`` bytes.
        """
        found = os.fstat(fd).st_size
        if found != size:
            raise ValueError(f"the arena has {found} bytes instead of {size}")
        return cls(fd, size)

    def view(self, offset: int, size: int) -> memoryview:
        """Return writable bytes from ``offset`` on; raises ValueError if outside the arena."""
        if not 0 <= offset <= offset + size <= self.size:
            raise ValueError(
                f"bytes {offset} to {offset + size} are not in the arena of {self.size}"
            )
        return memoryview(self._map)[offset : offset + size]

    def release(self, offset: int, size: int) -> None:
        """Return the complete pages of a range to the kernel; they then read as zeros.

        Does nothing if the kernel cannot take them back.
        """
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length <= 0 or _punch_hole(self.fd, first, length):
            return
        with suppress(OSError, AttributeError):
            self._map.madvise(mmap.MADV_REMOVE, first, length)

    def close(self) -> None:
        """Release the memory; remaining views keep it until they are released too."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        with suppress(BufferError):
            self._map.close()


def _punch_hole(fd: int, offset: int, length: int) -> bool:
    """Free a range of a file; True if the file system did."""
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    return bool(fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length) == 0)


class Blocks:
    """Allocates blocks within ``size`` bytes, each at a multiple of ``align``.

    Raises ValueError if ``size`` or ``align`` is below 1.
    """

    def __init__(self, size: int, align: int = 4096) -> None:
        if size < 1 or align < 1:
            raise ValueError(f"{size} bytes cannot be divided into blocks of {align}")
        self.taken = 0
        self._align = align
        self._whole = size // align * align
        # (first, end) of every gap, sorted and never adjacent
        self._gaps = [(0, self._whole)] if self._whole else []
        self._sizes: dict[int, int] = {}

    def holds(self, *sizes: int) -> bool:
        """True if blocks of these sizes fit together into empty memory."""
        return sum(map(self._rounded, sizes)) <= self._whole

    def take(self, size: int) -> int | None:
        """Take a block in the first gap that fits; return its offset, None if there is no such gap.

        The size is rounded up to a multiple of ``align``, also from 0. Raises ValueError for a size
        below 0.
        """
        if size < 0:
            raise ValueError(f"a block cannot have {size} bytes")
        wanted = self._rounded(size)
        for place, (first, end) in enumerate(self._gaps):
            if end - first >= wanted:
                left = (first + wanted, end)
                self._gaps[place : place + 1] = [left] if left[0] < end else []
                self._sizes[first] = wanted
                self.taken += wanted
                return first
        return None

    def give(self, offset: int) -> None:
        """Free a block; raises ValueError if none is taken at ``offset``."""
        size = self._sizes.pop(offset, None)
        if size is None:
            raise ValueError(f"no block is taken at {offset}")
        self.taken -= size
        first, end = offset, offset + size
        place = bisect_left(self._gaps, (first, end))
        if place < len(self._gaps) and self._gaps[place][0] == end:
            end = self._gaps.pop(place)[1]
        if place and self._gaps[place - 1][1] == first:
            first = self._gaps.pop(place - 1)[0]
        insort(self._gaps, (first, end))

    def _rounded(self, size: int) -> int:
        return -(-max(1, size) // self._align) * self._align
