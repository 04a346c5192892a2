"""The environment of an instance: its variables and the versions of its libraries."""

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

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
"""Prefixes of variables that change the number, the placement or the wait policy of threads."""
LIBRARIES = ("torch", "numpy")
SPEED_VARIABLES = (
    "LD_PRELOAD",
    "GLIBC_TUNABLES",
    "THP_MEM_ALLOC_ENABLE",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
)
"""Variables that an instance inherits from its caller and that change how fast it computes."""


def instance_environment(
    environment: Mapping[str, str], cpus: Sequence[int], allocator: str
) -> dict[str, str]:
    """Return the caller's environment with the threads, cores and allocator of an instance.

    Each of the logical ``cpus`` runs one thread. Raises UsageError for an unknown allocator and
    EnvironmentFault if it is not installed.
    """
    kept = {
        name: value for name, value in environment.items() if not name.startswith(THREAD_VARIABLES)
    }
    return {**allocator_environment(allocator, kept), **thread_environment(cpus)}


def not_inherited(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that an instance does not inherit unchanged, in their order."""
    given = instance_environment(environment, (0,), "default")
    return tuple(
        name
        for name, value in environment.items()
        if name.startswith(THREAD_VARIABLES) or given.get(name) != value
    )


def software(
    libraries: Collection[str] = LIBRARIES, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return versions of Python, the C library and installed libraries, and ``SPEED_VARIABLES``.

    ``libraries`` are the distributions that the optimizations of a run use: others must not
    prevent resuming it. Variables are those of an instance, without entries that choose an
    allocator, because each cell has its own.
    """
    variables = os.environ if environment is None else environment
    inherited = allocator_environment("default", variables)
    found = {"python": platform.python_version()}
    libc, libc_version = platform.libc_ver()
    if libc:
        found[libc] = libc_version
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    found.update({name: inherited[name] for name in SPEED_VARIABLES if inherited.get(name)})
    return found
