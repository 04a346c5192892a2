"""The process outside of coresplit that used some cores most."""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from coresplit.machine.kernel_files import CPU, PARENT, SYSTEM, TICK_S, USER, below, read_stat

RECENT_S = 1.0
FEWEST_SHARE, LONGEST_S = 0.05, 10.0
"""A process is named if it ran for that share of the time since the last call, at most 10 s."""
MOST_ASKED = 8

_Spent = dict[int, tuple[str, float]]


class Neighbours:
    """Compares the CPU time of all processes with that at the last call.

    The process ``own`` and its descendants are left out. A process that has ended or that is hidden
    by a container is not found. Never raises.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        own: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._own = os.getpid() if own is None else own
        self._clock = clock
        self._at = clock()
        self._before = self._read()
        self._grown: list[tuple[float, int, str]] = []

    def busiest(self, cpus: Collection[int]) -> str:
        """Return for example ``python (process 4711)``; empty if no process used them much."""
        now = self._clock()
        if not self._grown or now - self._at >= RECENT_S:
            after = self._read()
            least = FEWEST_SHARE * min(now - self._at, LONGEST_S)
            grown = [
                (spent - self._before.get(pid, ("", 0.0))[1], pid, name)
                for pid, (name, spent) in after.items()
            ]
            self._grown = sorted((one for one in grown if one[0] > least), reverse=True)
            self._before, self._at = after, now
        for _, pid, name in self._grown[:MOST_ASKED]:
            if not cpus or self._places(pid) & set(cpus):
                return f"{name} (process {pid})"
        return ""

    def _read(self) -> _Spent:
        """Return name and CPU seconds of every process that is not a descendant of ``own``."""
        found: _Spent = {}
        parents: dict[int, int] = {}
        for pid in self._numbers("/proc"):
            name, fields = self._stat(f"/proc/{pid}/stat")
            if len(fields) > CPU:
                parents[pid] = int(fields[PARENT])
                ticks = int(fields[USER]) + int(fields[SYSTEM])
                found[pid] = name, ticks * TICK_S
        return {pid: spent for pid, spent in found.items() if not self._is_ours(pid, parents)}

    def _is_ours(self, pid: int, parents: dict[int, int]) -> bool:
        seen = set[int]()
        while pid not in seen:
            if pid == self._own:
                return True
            seen.add(pid)
            pid = parents.get(pid, 0)
        return False

    def _numbers(self, folder: str) -> list[int]:
        """Return the ids of the processes or threads in a folder of /proc."""
        try:
            return [int(p.name) for p in below(self._root, folder).iterdir() if p.name.isdecimal()]
        except OSError:
            return []

    def _places(self, pid: int) -> set[int]:
        """Return the logical CPUs that the threads of a process last ran on."""
        folder = f"/proc/{pid}/task"
        stats = [self._stat(f"{folder}/{one}/stat")[1] for one in self._numbers(folder)]
        return {int(fields[CPU]) for fields in stats if len(fields) > CPU}

    def _stat(self, path: str) -> tuple[str, list[str]]:
        """Return the printable name of a process or thread, and the fields behind it."""
        name, fields = read_stat(below(self._root, path))
        return "".join(letter for letter in name if letter.isprintable()), fields
