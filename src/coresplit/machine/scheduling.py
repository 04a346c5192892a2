"""Stepping back: a process that computes only while nobody else wants its cores."""

import os
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

_TASKS = Path("/proc/self/task")
_NAMES = {
    os.SCHED_OTHER: "other",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "rr",
}


@cache
def may_return() -> bool:
    """Whether a thread of this process that has stepped back could come back.

    Linux allows that to root, and to users whose limit of nice values (``RLIMIT_NICE``) reaches the
    value of the process, which is rare. A thread that lives for this alone finds it out.
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


def step_back(process: int) -> bool:
    """Have a process of one thread step back, if it could come back; whether it did.

    Threads that it starts do the same.
    """
    if not may_return():
        return False
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0))
        return True
    return False


def come_back(policy: int) -> None:
    """Give all threads of this process a policy, also those that are started meanwhile.

    Raises OSError where that is not allowed.
    """
    while left := [thread for thread, found in _policies().items() if found != policy]:
        for thread in left:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(0))


def policies() -> tuple[str, ...]:
    """The names of the policies that threads of this process have now."""
    return tuple(sorted({name_of(policy) for policy in _policies().values()}))


def name_of(policy: int) -> str:
    """``other`` for ``SCHED_OTHER``."""
    return _NAMES.get(policy, str(policy))


def _policies() -> dict[int, int]:
    found = {}
    for task in _TASKS.iterdir():
        # threads come and go
        with suppress(ProcessLookupError):
            found[int(task.name)] = os.sched_getscheduler(int(task.name))
    return found
