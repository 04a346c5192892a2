"""Advice as a record, and what can be advised about memory: allocator, page faults, swap."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from coresplit.machine.cgroups import available_memory
from coresplit.machine.files import below, read_fields, read_text
from coresplit.records import Machine, Measurement
from coresplit.units import format_share, format_size

MALLOC_TUNABLES = (
    "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=68719476736"
)
"""Keeps freed blocks up to 4 GiB inside the heap; checked with glibc 2.36 and its minor faults."""

KERNEL_SHARE = 0.10
LITTLE_MEMORY = 4 * 2**30
_SWAP_IN_USE = 64 * 2**20
_LIBRARY_FOLDERS = ("lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib")
_HUGE_TUNABLE = "glibc.malloc.hugetlb=1 to GLIBC_TUNABLES (glibc 2.35 or later, joined by a colon)"
_THP = "/sys/kernel/mm/transparent_hugepage/enabled"


class Advice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that spoils measurements, one sentence, and what the user can do about it."""

    what: str
    remedy: str
    severity: Literal["note", "warning"]


def fault_advice(measurements: Sequence[Measurement], root: Path = Path("/")) -> Advice | None:
    """Warn if the kernel took over 10 % of the processor time of some measured cell, else None.

    The kernel share is system time over user and system time of a cell's evidence.
    """
    shares: list[tuple[float, Measurement]] = []
    for measurement in measurements:
        evidence = measurement.evidence
        if evidence is not None and evidence.user_s + evidence.system_s > 0:
            share = evidence.system_s / (evidence.user_s + evidence.system_s)
            shares.append((share, measurement))
    high = [share for share, _ in shares if share > KERNEL_SHARE]
    if not high:
        return None
    share, worst = max(shares, key=lambda pair: pair[0])
    faults = worst.evidence.minor_faults if worst.evidence else 0
    forwards = worst.evidence.forwards if worst.evidence else 0
    return Advice(
        what=(
            f"the kernel took over {format_share(KERNEL_SHARE)} of the processor time in "
            f"{len(high)} of {len(shares)} cells; the most is {format_share(share)} in "
            f"{worst.cell}, with {faults // max(forwards, 1):,} page faults per forward"
        ),
        remedy=fault_remedy(root),
        severity="warning",
    )


def fault_remedy(root: Path = Path("/")) -> str:
    """How to run with an allocator that keeps large blocks instead of mapping them anew."""
    library = find_library("tcmalloc", root)
    if library is None:
        return f"run with {MALLOC_TUNABLES}, or install tcmalloc and preload it (LD_PRELOAD)"
    return f"run with LD_PRELOAD={library}, or with {MALLOC_TUNABLES}"


def find_library(name: str, root: Path = Path("/")) -> str | None:
    """Absolute path of a shared library such as ``tcmalloc`` on the machine, or None.

    The full library is taken before a ``_minimal`` one, and a versioned name before a bare one.
    """
    found: list[Path] = []
    for folder in _LIBRARY_FOLDERS:
        for pattern in (f"lib{name}*.so*", f"*-linux-*/lib{name}*.so*"):
            found.extend(below(root, folder).glob(pattern))
    fitting = [
        path for path in found if path.name.split(".so")[0] in (f"lib{name}", f"lib{name}_minimal")
    ]
    best = min(
        fitting,
        key=lambda path: ("_minimal" in path.name, path.name.endswith(".so"), str(path)),
        default=None,
    )
    return None if best is None else f"/{best.relative_to(root)}"


def memory_advice(machine: Machine, root: Path, environment: Mapping[str, str]) -> Iterator[Advice]:
    """What spoils measurements in the memory of this machine, one advice each."""
    yield from _allocator(root, environment)
    yield from _huge_pages(root, environment)
    yield from _swap(root)
    available = available_memory(root)
    if available < LITTLE_MEMORY:
        limit = machine.memory_limit
        limited = "" if limit is None else f" under a limit of {format_size(limit)}"
        yield Advice(
            what=f"only {format_size(available)} of memory are available{limited}: "
            "large batches will be skipped",
            remedy="end other programs, or raise the memory limit of the container",
            severity="warning",
        )


def _allocator(root: Path, environment: Mapping[str, str]) -> Iterator[Advice]:
    glibc = any(
        True
        for folder in _LIBRARY_FOLDERS
        for pattern in ("libc.so.6", "*-linux-*/libc.so.6")
        for _ in below(root, folder).glob(pattern)
    )
    preloaded = environment.get("LD_PRELOAD", "")
    tuned = "glibc.malloc.mmap_threshold" in environment.get("GLIBC_TUNABLES", "")
    if glibc and not tuned and "tcmalloc" not in preloaded and "jemalloc" not in preloaded:
        yield Advice(
            what="the allocator is glibc's with its defaults: every large activation is mapped "
            "and unmapped anew, and its page faults slow large batches down",
            remedy=fault_remedy(root),
            severity="note",
        )


def _huge_pages(root: Path, environment: Mapping[str, str]) -> Iterator[Advice]:
    if "glibc.malloc.hugetlb" in environment.get("GLIBC_TUNABLES", ""):
        return
    text = read_text(below(root, _THP)) or ""
    chosen = text.partition("[")[2].partition("]")[0]
    if chosen == "madvise":
        yield Advice(
            what="transparent huge pages are on request only (madvise): memory of the default "
            "allocator comes in 4 KiB pages, with a page fault for each",
            remedy=f"add {_HUGE_TUNABLE}, or as root: echo always > {_THP}",
            severity="note",
        )
    elif chosen == "never":
        yield Advice(
            what="transparent huge pages are off (never): memory comes in 4 KiB pages, with a "
            "page fault for each",
            remedy=f"as root: echo madvise > {_THP}; then add {_HUGE_TUNABLE}",
            severity="note",
        )


def _swap(root: Path) -> Iterator[Advice]:
    fields = read_fields(below(root, "/proc/meminfo"))
    used = 1024 * (fields.get("SwapTotal", 0) - fields.get("SwapFree", 0))
    if used > _SWAP_IN_USE:
        yield Advice(
            what=f"{format_size(used)} of swap are in use: memory that is read back from disk "
            "stops a forward for milliseconds",
            remedy="end programs that fill the memory, or as root: swapoff -a && swapon -a",
            severity="warning",
        )
