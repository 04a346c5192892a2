"""Advice as a record, and the advice about memory: allocator, huge pages, swap."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from coresplit.format import format_size
from coresplit.machine.allocators import (
    TUNABLES,
    find_library,
    has_glibc,
    how_to_install,
    usable_allocators,
)
from coresplit.machine.cgroups import available_memory
from coresplit.machine.kernel_files import HUGE_PAGES, below, huge_pages, read_fields
from coresplit.records import Machine

LITTLE_MEMORY = 4 * 2**30
_SWAP_IN_USE = 64 * 2**20
_TORCH_HUGE = "THP_MEM_ALLOC_ENABLE=1"


class Advice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that disturbs measurements, and what the user can do about it.

    ``what`` is the problem in one sentence and ``remedy`` what to do. ``option`` is the parameter
    of a sweep that does it, such as ``mapping=interleave``, if any. A problem of severity
    ``warning`` spoils results; a ``note`` may.
    """

    what: str
    remedy: str
    option: str = ""
    severity: Literal["note", "warning"]


def allocator_remedy(root: Path = Path("/")) -> str:
    """Return how to use the installed allocators, and how to install more."""
    usable = usable_allocators(root)
    steps: list[str] = ["measure with another allocator"] if len(usable) > 1 else []
    steps += [
        f"{name} outside of coresplit: set GLIBC_TUNABLES={tunables}"
        for name, tunables in TUNABLES.items()
        if name in usable
    ]
    for name in ("tcmalloc", "jemalloc"):
        library = find_library(name, root)
        steps.append(
            f"to get {name}, {how_to_install(name, root)}"
            if library is None
            else f"{name} outside of coresplit: set LD_PRELOAD={library}"
        )
    return "; ".join(steps)


def memory_advice(machine: Machine, root: Path, environment: Mapping[str, str]) -> Iterator[Advice]:
    """Return the advice about the memory of this machine."""
    yield from _allocator(root)
    yield from _huge_pages(root, environment)
    yield from _swap(root)
    available = available_memory(root)
    if available < LITTLE_MEMORY:
        limit = machine.memory_limit
        limited = "" if limit is None else f" under a limit of {format_size(limit)}"
        yield Advice(
            what=f"only {format_size(available)} of memory is available{limited}: "
            "large batches will be skipped",
            remedy="stop other programs, or raise the memory limit of the container",
            severity="warning",
        )


def _allocator(root: Path) -> Iterator[Advice]:
    usable = usable_allocators(root)
    if has_glibc(root):
        yield Advice(
            what="the default allocator is glibc's: every forward maps its large activations again "
            "and the kernel zeroes them page by page, which slows down large batches",
            remedy=allocator_remedy(root),
            option=f"allocator={','.join(usable)}" if len(usable) > 1 else "",
            severity="note",
        )


def _huge_pages(root: Path, environment: Mapping[str, str]) -> Iterator[Advice]:
    if environment.get("THP_MEM_ALLOC_ENABLE", "0") != "0":
        return
    chosen = huge_pages(root)
    if chosen == "madvise":
        yield Advice(
            what="transparent huge pages are used only on request (madvise): memory "
            "comes in 4 KiB pages, with a page fault for each",
            remedy=f"measure with the allocator glibc_huge, or set {_TORCH_HUGE} so that PyTorch "
            f"alone requests them, or as root: echo always > {HUGE_PAGES}",
            severity="note",
        )
    elif chosen == "never":
        yield Advice(
            what="transparent huge pages are off (never): memory comes in 4 KiB pages, with a "
            "page fault for each",
            remedy=f"as root: echo madvise > {HUGE_PAGES}; then measure with the allocator "
            "glibc_huge",
            severity="note",
        )


def _swap(root: Path) -> Iterator[Advice]:
    fields = read_fields(below(root, "/proc/meminfo"))
    used = 1024 * (fields.get("SwapTotal", 0) - fields.get("SwapFree", 0))
    if used > _SWAP_IN_USE:
        yield Advice(
            what=f"{format_size(used)} of swap is in use: reading memory back from disk "
            "stalls a forward for milliseconds",
            remedy="stop programs that use much memory, or as root: swapoff -a && swapon -a",
            severity="warning",
        )
