"""Counters read inside an instance around timed work, and control of its process.

Reading takes well under a millisecond on a small machine; the kernel's own cost grows with the
CPUs it reports in /proc/stat and with the threads of the process.
"""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from coresplit.machine.cgroups import throttle_counters
from coresplit.machine.kernel_files import (
    STARTED,
    SYSTEM,
    TICK_S,
    USER,
    below,
    read_fields,
    read_stat,
    read_text,
)

_PR_SET_PDEATHSIG = 1
_BUSY = (0, 1, 2, 5, 6)
"""User, nice, system, interrupts and soft interrupts in a line of /proc/stat (proc(5))."""


class ThreadTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CPU seconds of one thread since its start, accurate to ``resolution_s``.

    ``waited_s`` is how long it was ready but not running, None if the kernel does not count it.
    """

    thread: int
    cpu_s: float
    resolution_s: float
    waited_s: float | None = None


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The change between two readings of the process, its cgroups and some CPUs.

    The names are those of ``records.Evidence``; times in seconds, ``steal_s`` summed over CPUs.
    """

    wall_s: float
    user_s: float
    system_s: float
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    throttled_periods: int
    throttled_s: float
    steal_s: float


class Counters(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reading of the same counters, since an arbitrary start; ``wall_s`` is monotonic.

    ``busy_s`` maps every logical CPU of the machine to the seconds it was busy.
    """

    threads: tuple[ThreadTime, ...]
    busy_s: dict[int, float] = {}


def read_counters(cpus: Collection[int], root: Path = Path("/")) -> Counters:
    """Read all counters once; steal is that of the given logical CPUs."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    throttling = throttle_counters(root)
    ticks = _cpu_ticks(root)
    return Counters(
        wall_s=time.monotonic(),
        user_s=usage.ru_utime,
        system_s=usage.ru_stime,
        minor_faults=usage.ru_minflt,
        major_faults=usage.ru_majflt,
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
        throttled_periods=throttling.periods,
        throttled_s=throttling.seconds,
        steal_s=_stolen(ticks, {f"cpu{cpu}" for cpu in cpus}),
        threads=_thread_times(root),
        busy_s={
            int(name[3:]): sum(values[i] for i in _BUSY if i < len(values)) * TICK_S
            for name, values in ticks.items()
            if name != "cpu"
        },
    )


def difference(before: Counters, after: Counters) -> Change:
    """Return the change between readings; never negative, even if the cgroup changed."""
    fields = Change.__struct_fields__
    return Change(**{name: max(getattr(after, name) - getattr(before, name), 0) for name in fields})


def busy(before: Counters, after: Counters, share: float = 0.05) -> tuple[int, ...]:
    """Return the threads that computed for over ``share`` of the wall time, ascending by id.

    Growth within the resolution of the thread clock does not count.
    """
    earlier = {thread.thread: thread.cpu_s for thread in before.threads}
    limit = share * (after.wall_s - before.wall_s)
    return tuple(
        thread.thread
        for thread in after.threads
        # user and system ticks are each rounded down, so a reading may be two ticks short
        if thread.cpu_s - earlier.get(thread.thread, 0.0) > max(limit, 2 * thread.resolution_s)
    )


def busy_threads(
    before: Counters, after: Counters, share: float = 0.05, root: Path = Path("/")
) -> tuple[str, ...]:
    """Return the CPU list allowed for every busy thread, such as ``("0", "1")``, by thread id.

    Threads that ended after the reading are left out, so call this right after it.
    """
    return tuple(allowed_lists(busy(before, after, share), root).values())


def allowed_lists(threads: Iterable[int], root: Path = Path("/")) -> dict[int, str]:
    """Return the CPUs each of these threads may run on, without threads that have ended."""
    allowed = {}
    for thread in threads:
        status = read_text(below(root, f"/proc/self/task/{thread}/status")) or ""
        for line in status.splitlines():
            if line.startswith("Cpus_allowed_list:"):
                allowed[thread] = line.partition(":")[2].strip()
    return allowed


def steal_seconds(cpus: Collection[int] | None, root: Path = Path("/")) -> float:
    """Return stolen seconds (the hypervisor ran others), summed over CPUs; None means all CPUs."""
    names = {"cpu"} if cpus is None else {f"cpu{cpu}" for cpu in cpus}
    return _stolen(_cpu_ticks(root), names)


def _stolen(ticks: Mapping[str, Sequence[int]], names: Collection[str]) -> float:
    return sum(ticks[name][7] for name in names if len(ticks.get(name, ())) > 7) * TICK_S


def _cpu_ticks(root: Path) -> dict[str, list[int]]:
    """Return the counters of ``cpu`` (the sum), ``cpu0`` and so on, as in /proc/stat."""
    found = {}
    for line in (read_text(below(root, "/proc/stat")) or "").splitlines():
        if not line.startswith("cpu"):
            break
        name, *words = line.split()
        found[name] = [int(word) for word in words]
    return found


def _thread_times(root: Path) -> tuple[ThreadTime, ...]:
    """Return the CPU time of every thread, from nanoseconds if the kernel has them, else ticks."""
    times: list[ThreadTime] = []
    try:
        folders = sorted(below(root, "/proc/self/task").iterdir(), key=lambda path: int(path.name))
    except OSError:
        return ()
    for folder in folders:
        fine = (read_text(folder / "schedstat") or "").split()
        if fine and fine[0] != "0":
            cpu_s, resolution = int(fine[0]) / 1e9, 1e-9
            waited_s = int(fine[1]) / 1e9 if len(fine) > 1 else None
        else:
            _, fields = read_stat(folder / "stat")
            if len(fields) <= SYSTEM:
                continue
            ticks = int(fields[USER]) + int(fields[SYSTEM])
            cpu_s, resolution, waited_s = ticks * TICK_S, TICK_S, None
        times.append(
            ThreadTime(
                thread=int(folder.name),
                cpu_s=cpu_s,
                resolution_s=resolution,
                waited_s=waited_s,
            )
        )
    return tuple(times)


def peak_memory(root: Path = Path("/")) -> int:
    """Return the largest resident size in bytes since the start or last reset; 0 if unknown."""
    return 1024 * read_fields(below(root, "/proc/self/status")).get("VmHWM", 0)


def reset_peak_memory(root: Path = Path("/")) -> bool:
    """Reset ``peak_memory`` to the current size; False if the kernel refuses.

    Writes 5 to clear_refs (proc(5)). ``ru_maxrss`` is no alternative: it never decreases.
    """
    try:
        below(root, "/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends for any reason.

    ``parent`` is the id of the process that started this one; if it has ended already, this
    process is killed at once. The kernel acts when the *thread* that started the process ends
    (prctl(2)), so start processes from a thread that outlives them.
    """
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def process_age(process: int | Literal["self"] = "self") -> float:
    """Return the seconds since a process was started; raises ProcessLookupError if it has ended."""
    _, fields = read_stat(Path(f"/proc/{process}/stat"))
    if len(fields) <= STARTED:
        raise ProcessLookupError(f"process {process} has ended")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[STARTED]) * TICK_S
