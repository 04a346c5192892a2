"""Versions of what a measurement depends on, and the variables that change its speed."""

import os
import platform
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version

from coresplit.machine.allocators import allocator_environment

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


def software(
    libraries: Collection[str] = LIBRARIES, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Version of Python, the C library and each installed library, and ``SPEED_VARIABLES``.

    ``libraries`` are distribution names of those that the optimizations of a run use, so that
    nothing else that is installed keeps the run from being resumed. Variables are given as an
    instance sees them: without what chose an allocator, since a cell names its own.
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
