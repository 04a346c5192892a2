"""Pin every computing thread to its own core, whichever library started it."""

import os
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from pathlib import Path

from coresplit.errors import PrepareFailed
from coresplit.format import format_cores
from coresplit.machine.counters import busy, read_counters

TRIAL_S, MOST_TRIALS = 0.3, 3
_TASKS = Path("/proc/self/task")


def settle(cpus: Sequence[int], forward: Callable[[], object], clock: Callable[[], float]) -> float:
    """Bind every thread of this process to one of ``cpus``, computing threads to different ones.

    OpenMP has already bound its workers, and they keep their cores. Other libraries start threads
    that may run anywhere: a trial of ``forward`` shows which of them compute, and each of these
    gets its own core, the calling thread the first. Returns the seconds of the last forward of the
    trial. Raises PrepareFailed if more threads compute than there are cores.
    """
    confine(cpus)
    before = read_counters(cpus)
    begin = clock()
    end, last = begin + TRIAL_S, begin + MOST_TRIALS * TRIAL_S
    while True:
        forward()
        took, begin = clock() - begin, clock()
        if begin >= end:
            computing = busy(before, read_counters(cpus))
            # with other programs running, a thread may not get to compute in a first trial
            if len(computing) >= len(cpus) or begin >= last:
                break
            end = begin + TRIAL_S
    if len(computing) > len(cpus):
        raise PrepareFailed(
            f"{len(computing)} threads compute on {format_cores(len(cpus))}: the library started "
            "more threads than it was asked for"
        )
    calling = os.getpid()
    for thread, cpu in assignment(cpus, calling, computing, _threads()).items():
        bind(thread, {cpu})
    return took


def assignment(
    cpus: Sequence[int],
    calling: int,
    computing: Sequence[int],
    allowed: dict[int, frozenset[int]],
) -> dict[int, int]:
    """Return the core of every thread in ``allowed``, which maps threads to the cores they may use.

    A computing thread bound to one core of ``cpus`` stays there; the calling thread gets the first
    core, the others the free cores in order. Idle threads stay where they are bound, else they are
    distributed round-robin.
    """
    found = {calling: cpus[0]}
    bound = {t: next(iter(a)) for t, a in allowed.items() if len(a) == 1 and a <= set(cpus)}
    for thread in computing:
        if thread != calling and bound.get(thread) not in (None, *found.values()):
            found[thread] = bound[thread]
    free = [cpu for cpu in cpus if cpu not in found.values()]
    if calling not in computing:
        # it only waits for the others, so its core is free for one of them
        free.append(cpus[0])
    for thread in computing:
        if thread not in found:
            found[thread] = free.pop(0)
    for place, thread in enumerate(sorted(set(allowed) - set(found))):
        found[thread] = bound.get(thread, cpus[place % len(cpus)])
    return found


def confine(cpus: Sequence[int]) -> None:
    """Restrict all threads to ``cpus``; narrower restrictions are kept."""
    for thread, allowed in _threads().items():
        bind(thread, allowed & set(cpus) or set(cpus))


def bind(thread: int, cpus: Set[int]) -> None:
    """Restrict ``thread`` of this process to ``cpus``; ignores a thread that has ended."""
    # a thread may end between being listed and being bound
    with suppress(ProcessLookupError):
        os.sched_setaffinity(thread, cpus)


def confined_to() -> tuple[int, ...]:
    """Return the logical CPUs that any thread of this process may run on."""
    return tuple(sorted(frozenset[int]().union(*_threads().values())))


def _threads() -> dict[int, frozenset[int]]:
    found = {}
    for task in _TASKS.iterdir():
        thread = int(task.name)
        try:
            found[thread] = frozenset(os.sched_getaffinity(thread))
        except ProcessLookupError:
            # the thread ended meanwhile
            continue
    return found
