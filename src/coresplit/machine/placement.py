"""Which cores the threads of an instance get, and the environment that puts them there."""

from collections.abc import Sequence
from itertools import zip_longest

from coresplit.errors import UsageError
from coresplit.records import Core, Mapping


def place(cores: Sequence[Core], threads: int, mapping: Mapping) -> tuple[int, ...]:
    """The logical CPU ids for ``threads`` threads, one physical core each, in thread order.

    ``sequential`` takes the cores in their order: fast ones first, then a socket and a node full;
    ``interleave`` takes sockets in turn and, within a socket, its nodes in turn. Raises
    UsageError for threads below one or above the cores, and for ``interleave`` on one node.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads cannot be placed; the smallest number is 1")
    if threads > len(cores):
        raise UsageError(
            f"{threads} threads need {threads} physical cores, but {len(cores)} can be used; "
            f"ask for at most {len(cores)}"
        )
    if mapping == "interleave":
        cores = _interleaved(cores)
    return tuple(core.cpu for core in cores[:threads])


def place_together(
    cores: Sequence[Core], threads: Sequence[int], mapping: Mapping
) -> tuple[tuple[int, ...], ...]:
    """The logical CPU ids of instances that run at the same time, disjoint, in the order given.

    ``sequential`` keeps an instance within one NUMA node where one has room for it, those of
    most threads first; ``interleave`` deals the interleaved cores out in turn. Raises
    UsageError as ``place`` does, for the sum of the threads.
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
            # no node has room for all of them: the instance takes what is left, node by node
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
    """Environment for a child process whose threads sit on exactly these logical CPUs.

    One OpenMP thread and one place per CPU, in the order given, each thread bound to its place:
    the OpenMP runtimes read this when they are loaded, so it must be set before the process
    starts. ``OMP_DYNAMIC`` and ``MKL_DYNAMIC`` are off, because the runtime could otherwise use
    fewer threads than asked. How waiting threads wait is left at each runtime's default, since
    asking them to spin would measure something that users do not run.
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
