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
