"""Reserve cores for one measurement at a time, across all users and folders of the machine.

A core is reserved by binding a socket in Linux's abstract namespace. That needs no file, which
others could create or keep, shows which process holds the core, and frees it as soon as that
process ends in any way. Containers with separate networks do not see each other's reservations.
"""

import errno
import os
import shlex
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from coresplit.errors import CoresInUse
from coresplit.format import format_duration, format_numbers
from coresplit.machine.counters import process_age
from coresplit.machine.topology import siblings

SHARED = "CORESPLIT_SHARED_CORES"
"""Environment variable; if it is set, cores are not reserved and may be shared."""
_CREDENTIALS = struct.Struct("3i")
_LONGEST_NAME = 80
_BACKLOG = 128


class Reservation:
    """Cores that no other process can reserve until ``close`` or the end of this process."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def take(self, cpus: Iterable[int], root: Path = Path("/")) -> None:
        """Reserve the physical cores of these logical CPUs, all or none, in addition to those held.

        Raises CoresInUse if other processes hold some of them, and names these processes.
        """
        if shares_cores():
            return
        cores = {min(siblings(cpu, root)) for cpu in cpus}
        taken: dict[int, socket.socket] = {}
        busy: dict[int, str] = {}
        for core in sorted(cores - set(self._held)):
            held = _bound(core)
            if held is None:
                busy[core] = _holder(core)
            else:
                taken[core] = held
        if busy:
            for held in taken.values():
                held.close()
            word = "core" if len(busy) == 1 else "cores"
            raise CoresInUse(
                f"{word} {format_numbers(tuple(busy))} in use by "
                f"{' and '.join(dict.fromkeys(busy.values()))}; wait until it ends, or choose "
                "other cores with taskset"
            )
        self._held |= taken

    def close(self) -> None:
        """Free all cores."""
        while self._held:
            _, held = self._held.popitem()
            held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def shares_cores() -> bool:
    """True if the user allows measuring on cores that others use at the same time."""
    return bool(os.environ.get(SHARED))


def _address(core: int) -> str:
    return f"\0coresplit/core/{core}"


def _bound(core: int) -> socket.socket | None:
    """Reserve a core and return the socket; None if another process holds it."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(_address(core))
        # so that the kernel tells others which process listens
        held.listen(_BACKLOG)
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return held


def _holder(core: int) -> str:
    """Return the command, id and age of the process that holds a core, as far as known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_address(core))
            found = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return "another process"
    pid = int(_CREDENTIALS.unpack(found)[0])
    return _described(pid) if pid > 0 else "a process of another container"


def _described(pid: int) -> str:
    folder = Path(f"/proc/{pid}")
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        age = max(1.0, process_age(pid))
    except OSError:
        return f"process {pid}"
    names = [Path(word).name for word in words]
    if "coresplit" in names:
        words = ["coresplit", *words[names.index("coresplit") + 1 :]]
    text = "".join(letter if letter.isprintable() else "?" for letter in shlex.join(words))
    if len(text) > _LONGEST_NAME:
        text = f"{text[:_LONGEST_NAME]}..."
    return f"'{text}' (process {pid}, running for {format_duration(age)})"
