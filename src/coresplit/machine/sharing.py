"""Check from kernel counters whether timed forwards had their cores to themselves."""

import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from coresplit.machine.counters import Counters, ThreadTime, allowed_lists
from coresplit.machine.kernel_files import CPUS, below, read_int, read_text
from coresplit.machine.topology import parse_cpu_list, siblings
from coresplit.records import Signs

BUSY_SHARE = 0.05
WANTING_SHARE = 0.5
"""A thread that ran or waited for this share was computing, even if it hardly ran."""
_DIGITS = 6


def signs_of(
    before: Counters,
    after: Counters,
    cpus: Sequence[int],
    wall_s: float,
    *,
    clocks: tuple[float | None, float | None] = (None, None),
    root: Path = Path("/"),
) -> Signs:
    """Return the signs of disturbance of this process's threads on ``cpus`` between two readings.

    ``wall_s`` is how long they computed within that time, ``clocks`` are the clock speeds in Hz
    before and after. Call this right after the second reading.
    """
    earlier = {thread.thread: thread for thread in before.threads}
    spent = [_since(thread, earlier.get(thread.thread)) for thread in after.threads]
    computing = [one for one in spent if _computes(one, wall_s)]
    allowed = allowed_lists([one.thread for one in computing], root)
    places = {thread: _single(text) for thread, text in allowed.items()}
    others = _others(before.busy_s, after.busy_s, computing, places, cpus)
    core = max(others, key=lambda cpu: others[cpu], default=None)
    waits = [(one.waited_s, one.thread) for one in computing if one.waited_s is not None]
    if waits:
        core = places.get(max(waits)[1])
    beside = {
        cpu: after.busy_s.get(cpu, 0.0) - before.busy_s.get(cpu, 0.0)
        for cpu in _siblings(cpus, root)
    }
    sibling = max(beside, key=lambda cpu: beside[cpu], default=None)
    return Signs(
        wall_s=round(wall_s, _DIGITS),
        waited_s=round(max(waits)[0], _DIGITS) if waits else None,
        others_s=round(max(0.0, others.get(core, 0.0)), _DIGITS) if core is not None else 0.0,
        core=core,
        sibling_s=round(beside[sibling], _DIGITS) if sibling is not None else 0.0,
        sibling=sibling,
        switches=max(0, after.involuntary_switches - before.involuntary_switches),
        major_faults=max(0, after.major_faults - before.major_faults),
        clock_begin_hz=clocks[0],
        clock_hz=clocks[1],
    )


def clock_hz(cpus: Collection[int], root: Path = Path("/")) -> float | None:
    """Return the mean clock of CPUs in Hz; None if neither sysfs nor /proc/cpuinfo has it."""
    found = [read_int(below(root, f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq")) for cpu in cpus]
    known = [1e3 * khz for khz in found if khz]
    if not known:
        known = [hz for cpu, hz in _clocks_of_cpuinfo(root).items() if cpu in cpus]
    return statistics.fmean(known) if known else None


def _clocks_of_cpuinfo(root: Path) -> dict[int, float]:
    clocks, cpu = {}, -1
    for line in (read_text(below(root, "/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        try:
            if key.strip() == "processor":
                cpu = int(value)
            elif key.strip() == "cpu MHz":
                clocks[cpu] = 1e6 * float(value)
        except ValueError:
            continue
    return {cpu: hz for cpu, hz in clocks.items() if hz > 0}


def _since(now: ThreadTime, then: ThreadTime | None) -> ThreadTime:
    waited = now.waited_s
    if waited is not None and then is not None:
        waited -= then.waited_s or 0.0
    return ThreadTime(
        thread=now.thread,
        cpu_s=now.cpu_s - (then.cpu_s if then else 0.0),
        resolution_s=now.resolution_s,
        waited_s=None if waited is None else max(0.0, waited),
    )


def _computes(spent: ThreadTime, wall_s: float) -> bool:
    # an idle thread that waits behind a computing one of its own process is not disturbed
    if spent.cpu_s > max(BUSY_SHARE * wall_s, 2 * spent.resolution_s):
        return True
    return spent.cpu_s + (spent.waited_s or 0.0) > WANTING_SHARE * wall_s > 0


def _single(text: str) -> int | None:
    cpus = parse_cpu_list(text)
    return cpus[0] if len(cpus) == 1 else None


def _others(
    before: Mapping[int, float],
    after: Mapping[int, float],
    computing: Sequence[ThreadTime],
    places: Mapping[int, int | None],
    cpus: Sequence[int],
) -> dict[int, float]:
    """Return seconds that something else ran on each of ``cpus``; empty if threads may move."""
    if any(places.get(one.thread) not in cpus for one in computing):
        return {}
    found = {cpu: after.get(cpu, 0.0) - before.get(cpu, 0.0) for cpu in cpus}
    for one in computing:
        found[places[one.thread]] -= one.cpu_s  # type: ignore[index]
    return found


def _siblings(cpus: Collection[int], root: Path) -> list[int]:
    return [each for cpu in cpus for each in siblings(cpu, root) if each not in cpus]
