"""The environment of an instance: its own threads, cores and allocator, the rest its caller's."""

from collections.abc import Mapping, Sequence

from coresplit.machine.allocators import allocator_environment
from coresplit.machine.placement import thread_environment

THREAD_VARIABLES = (
    "OMP_",
    "KMP_",
    "GOMP_",
    "MKL_",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_DEFAULT_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
"""How names of variables begin that change the number, the place or the waiting of threads."""


def instance_environment(
    environment: Mapping[str, str], cpus: Sequence[int], allocator: str
) -> dict[str, str]:
    """The caller's environment with threads, cores and allocator replaced by those of an instance.

    One thread sits on each of the logical ``cpus``. Raises UsageError for an unknown allocator
    and EnvironmentFault where it is not installed.
    """
    kept = {
        name: value for name, value in environment.items() if not name.startswith(THREAD_VARIABLES)
    }
    return {**allocator_environment(allocator, kept), **thread_environment(cpus)}


def not_inherited(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that an instance does not inherit as they are, in their order."""
    given = instance_environment(environment, (0,), "default")
    return tuple(
        name
        for name, value in environment.items()
        if name.startswith(THREAD_VARIABLES) or given.get(name) != value
    )
