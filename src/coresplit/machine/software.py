"""Versions of what a measurement depends on, and the allocator settings that change it."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("torch", "numpy")
ALLOCATOR_VARIABLES = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_ARENA_MAX")


def software(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Library to version for those installed, and allocator variables to values for those set."""
    variables = os.environ if environment is None else environment
    found = {"python": platform.python_version()}
    libc, libc_version = platform.libc_ver()
    if libc:
        found[libc] = libc_version
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    found.update({name: variables[name] for name in ALLOCATOR_VARIABLES if variables.get(name)})
    return found
