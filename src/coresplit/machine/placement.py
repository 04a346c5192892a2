"""The cores of an instance's threads, and the environment that binds them there."""

from collections.abc import Sequence
from itertools import zip_longest

from coresplit.errors import UsageError
from coresplit.records import Core, Mapping


def place(cores: Sequence[Core], threads: int, mapping: Mapping) -> tuple[int, ...]:
    """Return the logical CPUs of ``threads`` threads, one physical core each, in thread order.

    ``sequential`` takes the cores in their order: fast ones first, filling one socket and node
    after another. ``interleave`` alternates between sockets and, within a socket, between its
    nodes. Raises UsageError for fewer than one thread, for more threads than cores, and for
    ``interleave`` on one node.
    """
    if threads < 1:
        raise UsageError(f"cannot place {threads} threads; use at least 1")
    if threads > len(cores):
        raise UsageError(
            f"{threads} threads need {threads} physical cores, but only {len(cores)} can be used; "
            f"use at most {len(cores)} threads"
        )
    if mapping == "interleave":
        cores = _interleaved(cores)
    return tuple(core.cpu for core in cores[:threads])


def place_together(
    cores: Sequence[Core], threads: Sequence[int], mapping: Mapping
) -> tuple[tuple[int, ...], ...]:
    """Return the disjoint logical CPUs of instances that run together, in the order given.

    ``sequential`` keeps an instance within one NUMA node if one has room for it, starting with the
    instances with the most threads; ``interleave`` gives each the next of the interleaved cores.
    Raises UsageError like ``place``, for the sum of the threads.
    """
    place(cores, sum(threads), mapping)
    if mapping == "interleave":
        groups = [[core.cpu for core in _interleaved(cores)]]
    else:
        nodes: dict[tuple[int, int], list[int]] = {}
        for core in cores:
            nodes.setdefault((core.package, core.node), []).append(core.cpu)
        groups = list(nodes.values())
    placed: dict[int, tuple[int, ...]] = {}
    for index in sorted(range(len(threads)), key=lambda index: -threads[index]):
        count = threads[index]
        home = next((group for group in groups if len(group) >= count), None)
        if home is None:
            # no node has room for it: the instance takes the remaining cores, node by node
            home = [cpu for group in groups for cpu in group]
        placed[index] = tuple(home[:count])
        groups = [[cpu for cpu in group if cpu not in placed[index]] for group in groups]
    return tuple(placed[index] for index in range(len(threads)))


def _interleaved(cores: Sequence[Core]) -> Sequence[Core]:
    packages: dict[int, dict[int, list[Core]]] = {}
    for core in cores:
        packages.setdefault(core.package, {}).setdefault(core.node, []).append(core)
    if sum(len(nodes) for nodes in packages.values()) < 2:
        raise UsageError(
            "the mapping interleave needs cores on two NUMA nodes, but all usable cores are "
            "on one; use sequential"
        )
    return _in_turn([_in_turn(list(nodes.values())) for nodes in packages.values()])


def _in_turn(groups: Sequence[Sequence[Core]]) -> list[Core]:
    return [core for turn in zip_longest(*groups) for core in turn if core is not None]


def thread_environment(cpus: Sequence[int]) -> dict[str, str]:
    """Return the environment that binds the threads of a child process to these logical CPUs.

    It sets one OpenMP thread and one place per CPU, in the order given, each thread bound to its
    place.
    OpenMP runtimes read this when they are loaded, so it must be set before the process starts.
    ``OMP_DYNAMIC`` and ``MKL_DYNAMIC`` are off, because runtimes could otherwise use fewer
    threads. Each runtime keeps its default wait policy, which users run with.
    """
    count = str(len(cpus))
    return {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_PLACES": ",".join(f"{{{cpu}}}" for cpu in cpus),
        "OMP_PROC_BIND": "close",
        "OMP_DYNAMIC": "false",
        "MKL_DYNAMIC": "FALSE",
    }
