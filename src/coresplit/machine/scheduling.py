"""Background scheduling: a process computes only while no other process wants its cores."""

import os
import subprocess
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from coresplit.machine.kernel_files import STATE, read_stat

_NAMES = {
    os.SCHED_OTHER: "other",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "rr",
}


LOOK_S, FIRST_S, STARVED = 0.05, 0.25, 0.8
"""A background process is looked at every LOOK_S. It makes no progress if, at FIRST_S or later, it
has waited for a core for a larger share of its time than STARVED."""


@cache
def may_return() -> bool:
    """True if a thread of this process could return to normal from background scheduling.

    Linux allows that to root, and to users whose limit of nice values (``RLIMIT_NICE``) reaches the
    value of the process, which is rare. A temporary thread tries it.
    """
    found: list[bool] = []

    def probe() -> None:
        before = os.sched_getscheduler(0)
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, before, os.sched_param(0))
            found.append(os.sched_getscheduler(0) == before)

    thread = threading.Thread(target=probe, name="scheduling")
    thread.start()
    thread.join()
    return found == [True]


def step_back(process: subprocess.Popen[bytes], longest_s: float) -> None:
    """Put a process that has just been started in the background for up to ``longest_s`` seconds.

    Threads that it starts inherit that. Does nothing if it could not return to normal. A thread of
    its parent brings it back, earlier if it only waits because other processes use all cores.
    """
    if may_return():
        with suppress(OSError):
            policy = os.sched_getscheduler(0)
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
            threading.Thread(
                target=_bring_back, args=(process, policy, longest_s), daemon=True
            ).start()


def _bring_back(process: subprocess.Popen[bytes], policy: int, longest_s: float) -> None:
    begin = last = time.monotonic()
    computed, waited = _cpu_seconds(process.pid), 0.0
    while (passed := last - begin) < longest_s:
        if passed >= FIRST_S and waited > STARVED * passed:
            break
        time.sleep(min(LOOK_S, longest_s - passed))
        before, last = last, time.monotonic()
        more = _cpu_seconds(process.pid) - computed
        computed += more
        if more < (1 - STARVED) * (last - before) and _is_runnable(process.pid):
            waited += last - before
    if process.poll() is None:
        with suppress(OSError):
            come_back(policy, str(process.pid))


def come_back(policy: int, process: str = "self") -> None:
    """Set the policy of all threads of a process, including those started meanwhile.

    Raises OSError if that is not allowed.
    """
    while left := [thread for thread, found in _policies(process).items() if found != policy]:
        for thread in left:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(0))


def policies() -> tuple[str, ...]:
    """Return the names of the policies that threads of this process have now."""
    return tuple(sorted({name_of(policy) for policy in _policies().values()}))


def name_of(policy: int) -> str:
    """Return the name of a policy, such as ``other`` for ``SCHED_OTHER``."""
    return _NAMES.get(policy, str(policy))


def _cpu_seconds(pid: int) -> float:
    """Return the seconds that all threads of a process have computed; 0 if it is gone."""
    try:
        # the id of its CPU clock, as in clock_getcpuclockid(3)
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def _is_runnable(pid: int) -> bool:
    """Whether the main thread runs or waits for a core, rather than for something else."""
    _, fields = read_stat(Path(f"/proc/{pid}/stat"))
    return fields[STATE : STATE + 1] == ["R"]


def _policies(process: str = "self") -> dict[int, int]:
    found = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        # a thread may end meanwhile
        with suppress(ProcessLookupError):
            found[int(task.name)] = os.sched_getscheduler(int(task.name))
    return found
