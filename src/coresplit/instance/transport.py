"""Memory that a server's front shares with its instances, and which parts of it are taken."""

import ctypes
import fcntl
import mmap
import os
from bisect import bisect_left, insort
from contextlib import suppress

ALIGNMENT = 64
"""Libraries compute alike on what is aligned so, as their own memory is."""
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Arena:
    """Bytes that the front and every instance see, under no name.

    They are gone once the last process that holds them has ended, however that ends. No process
    can shrink them, so that none can have another killed by SIGBUS. Raises OSError where the
    kernel refuses them.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._map = mmap.mmap(fd, size)

    @classmethod
    def create(cls, size: int) -> "Arena":
        """New bytes, all zero; pages take memory once they are written."""
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
        """The bytes behind a descriptor that another process has passed on; it is owned from now.

        Raises ValueError where they are not ``size`` bytes.
        """
        found = os.fstat(fd).st_size
        if found != size:
            raise ValueError(f"the arena has {found} bytes where {size} were named")
        return cls(fd, size)

    def view(self, offset: int, size: int) -> memoryview:
        """The bytes from ``offset`` on, writable; raises ValueError for any outside the arena."""
        if not 0 <= offset <= offset + size <= self.size:
            raise ValueError(f"bytes {offset} to {offset + size} are not in {self.size}")
        return memoryview(self._map)[offset : offset + size]

    def release(self, offset: int, size: int) -> None:
        """Give the whole pages within back to the kernel; they read as zero from then on.

        Where the kernel cannot take them back, nothing happens.
        """
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length <= 0 or _punch_hole(self.fd, first, length):
            return
        with suppress(OSError, AttributeError):
            self._map.madvise(mmap.MADV_REMOVE, first, length)

    def close(self) -> None:
        """Let go of the bytes; views that are left keep them until they go too."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        with suppress(BufferError):
            self._map.close()


def _punch_hole(fd: int, offset: int, length: int) -> bool:
    """Whether the file system took the bytes back."""
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    return bool(fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length) == 0)


class Blocks:
    """Which blocks of ``size`` bytes are taken, each at a multiple of ``align``.

    Raises ValueError for sizes below 1.
    """

    def __init__(self, size: int, align: int = 4096) -> None:
        if size < 1 or align < 1:
            raise ValueError(f"{size} bytes cannot be dealt out by {align}")
        self.taken = 0
        self._align = align
        self._whole = size // align * align
        # (first, end) of every gap, in order and never touching each other
        self._gaps = [(0, self._whole)] if self._whole else []
        self._sizes: dict[int, int] = {}

    def holds(self, *sizes: int) -> bool:
        """Whether blocks of these sizes fit together where nothing else is taken."""
        return sum(map(self._rounded, sizes)) <= self._whole

    def take(self, size: int) -> int | None:
        """The offset of a new block in the first gap where it fits, None where none is.

        Its size is rounded up to a multiple of ``align``; 0 takes as much as 1. Raises ValueError
        for a size below 0.
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
        """Give a block back; raises ValueError where none was taken at ``offset``."""
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
