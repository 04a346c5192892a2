"""Programs under test: starting, pausing while others are measured, CPU time and memory."""

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from coresplit.machine.kernel_files import PARENT, read_stat

_CPU_CLOCK = 2


class Program:
    """A program with all processes that it starts; its output goes to ``log``."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        cpus: Sequence[int] | None = None,
        talks: bool = False,
    ) -> None:
        self.log = log
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        with log.open("wb") as words:
            self.process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe if talks else words,
                stderr=words,
                cwd=cwd,
                env={**os.environ, **dict(env)},
                start_new_session=True,
            )
        if cpus is not None:
            # immediately, before it has started any process
            os.sched_setaffinity(self.process.pid, cpus)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def tree(self) -> list[int]:
        """Return the process and all its descendants, parents first."""
        children = defaultdict(list)
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                _, fields = read_stat(folder / "stat")
                if len(fields) > PARENT:
                    children[int(fields[PARENT])].append(int(folder.name))
        found = [self.process.pid]
        for pid in found:
            found += children[pid]
        return found

    def cpu_s(self) -> float:
        """Return the user and system time of the tree in seconds.

        Read from the clock of each process: the same as utime + stime of /proc/PID/stat, which
        counts in steps of 10 ms.
        """
        total = 0.0
        for pid in self.tree():
            with suppress(OSError):
                total += time.clock_gettime(~pid << 3 | _CPU_CLOCK)
        return total

    def memory(self) -> tuple[int, int]:
        """Return the memory of the tree in bytes: resident (RSS) and proportional (PSS)."""
        resident = shared = 0
        for pid in self.tree():
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                sizes = {name: int(size) for name, size, *_ in map(str.split, lines)}
                resident += sizes["Rss:"] * 1024
                shared += sizes["Pss:"] * 1024
        return resident, shared

    def pause(self) -> None:
        """Stop the tree, parents first, so that no parent starts another child."""
        self._signal(signal.SIGSTOP, self.tree())

    def resume(self) -> None:
        self._signal(signal.SIGCONT, self.tree()[::-1])

    def end(self) -> None:
        """End the tree: with SIGTERM, then with SIGKILL."""
        tree = self.tree()
        self._signal(signal.SIGCONT, tree[::-1])
        if not self.ended:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self._signal(signal.SIGKILL, tree if not self.ended else tree[1:])
        self.process.wait()

    def _signal(self, number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
