"""The allocators of a cell: how to give a child process one, and how to check which one it has."""

import ctypes
import mmap
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from coresplit.errors import EnvironmentFault
from coresplit.machine.kernel_files import HUGE_PAGES, below, huge_pages, read_text
from coresplit.units import unknown_name

ALLOCATORS = {
    "default": "the C library's allocator, default settings",
    "glibc_tuned": "glibc's allocator, tuned to keep freed memory; nothing to install",
    "glibc_huge": "the same in transparent huge pages; nothing to install",
    "tcmalloc": "Google's tcmalloc, default settings",
    "jemalloc": "jemalloc, default settings",
}

MALLOC_TUNABLES = (
    "glibc.malloc.mmap_max=0:"
    "glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=68719476736"
)
"""Keeps freed blocks in the heap. Older glibc ignores thresholds above 32 MiB, not mmap_max=0."""
HUGE_TUNABLES = f"{MALLOC_TUNABLES}:glibc.malloc.hugetlb=1"
"""Also asks for transparent huge pages."""
TUNABLES = {"glibc_tuned": MALLOC_TUNABLES, "glibc_huge": HUGE_TUNABLES}
_HUGE_SINCE = (2, 35)

# prefixes, because full, minimal and versioned builds of an allocator share them
_LIBRARIES = ("tcmalloc", "jemalloc", "mimalloc", "tbbmalloc", "snmalloc", "rpmalloc", "hoard")
_VARIABLES = ("MALLOC_", "TCMALLOC_", "JE_MALLOC_", "MIMALLOC_")
_FOLDERS = ("lib64", "lib", "usr/lib64", "usr/lib", "usr/local/lib64", "usr/local/lib")
_PACKAGES = {
    "debian": {
        "tcmalloc": "apt install libtcmalloc-minimal4",
        "jemalloc": "apt install libjemalloc2",
    },
    "fedora": {"tcmalloc": "dnf install gperftools-libs", "jemalloc": "dnf install jemalloc"},
}
_FAMILIES = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora"}
_BLOCK = 64 * 2**20
_JEMALLOC_ALL_ARENAS = 4096
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ")


def allocator_environment(
    name: str, environment: Mapping[str, str], root: Path = Path("/")
) -> dict[str, str]:
    """Return the environment of a child process that uses an allocator, based on its caller's.

    Every allocator runs with its own defaults, except that ``glibc_tuned`` keeps freed memory, and
    ``glibc_huge`` also asks for huge pages.
    Allocator libraries are removed from LD_PRELOAD and ``glibc.malloc`` entries from
    GLIBC_TUNABLES, other entries stay; variables that allocators read are dropped. Raises
    UsageError for an unknown name and EnvironmentFault if the allocator is not installed.
    """
    missing = missing_allocator(name, root)
    if missing is not None:
        raise EnvironmentFault(missing)
    preload = [
        entry
        for entry in re.split(r"[:\s]+", environment.get("LD_PRELOAD", ""))
        if _allocator_in(entry) is None
    ]
    tunables = [
        entry
        for entry in environment.get("GLIBC_TUNABLES", "").split(":")
        if not entry.startswith("glibc.malloc.")
    ]
    if name in TUNABLES:
        tunables.append(TUNABLES[name])
    elif name != "default":
        preload.insert(0, find_library(name, root) or "")
    kept = {key: value for key, value in environment.items() if not key.startswith(_VARIABLES)}
    for key, entries in (("LD_PRELOAD", preload), ("GLIBC_TUNABLES", tunables)):
        kept[key] = ":".join(filter(None, entries))
        if not kept[key]:
            del kept[key]
    return kept


def missing_allocator(name: str, root: Path = Path("/")) -> str | None:
    """Return what the allocator lacks and how to install it; None if it can be used.

    Raises UsageError for an unknown name.
    """
    if name not in ALLOCATORS:
        raise unknown_name("allocator", name, ALLOCATORS)
    if name == "default":
        return None
    if name in TUNABLES:
        if not has_glibc(root):
            return f"the allocator {name} needs glibc, but this machine has another C library"
        return _no_huge_pages(root) if name == "glibc_huge" else None
    if find_library(name, root) is not None:
        return None
    return f"the allocator {name} is not installed; {how_to_install(name, root)}"


def how_to_install(name: str, root: Path) -> str:
    """Return how to install ``tcmalloc`` or ``jemalloc`` here, as the end of a sentence."""
    text = read_text(below(root, "/etc/os-release")) or ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    stated = [fields.get(key, "").strip("\"'") for key in ("ID", "ID_LIKE")]
    for system in " ".join(stated).split():
        commands = _PACKAGES.get(_FAMILIES.get(system, system))
        if commands is not None:
            return f"as root: {commands[name]}"
    package = "gperftools" if name == "tcmalloc" else name
    return f"install it with the package manager of this system (often named {package})"


def usable_allocators(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the names of the allocators that can be used on this machine."""
    return tuple(name for name in ALLOCATORS if missing_allocator(name, root) is None)


def _no_huge_pages(root: Path) -> str | None:
    """Return why no allocator can ask for huge pages, or why none needs to; None if one can."""
    found = re.match(r"(\d+)\.(\d+)", platform.libc_ver()[1])
    if root == Path("/") and found and (int(found[1]), int(found[2])) < _HUGE_SINCE:
        return f"the allocator glibc_huge needs glibc 2.35, but this is {found[0]}"
    match huge_pages(root):
        case "madvise":
            return None
        case "always":
            return "the allocator glibc_huge is not needed: every allocator gets huge pages here"
    return (
        "the allocator glibc_huge needs transparent huge pages, which are off; as root: "
        f"echo madvise > {HUGE_PAGES}"
    )


def has_glibc(root: Path = Path("/")) -> bool:
    """True if the C library of this process, or of a recorded machine, is glibc."""
    if root == Path("/"):
        return platform.libc_ver()[0] == "glibc"
    return any(True for _ in _library_files("libc.so.6", root))


def find_library(name: str, root: Path = Path("/")) -> str | None:
    """Return the absolute path of a shared library such as ``tcmalloc``, or None.

    The full library is preferred to a ``_minimal`` one, a versioned name to an unversioned one.
    """
    fitting = [
        path
        for path in _library_files(f"lib{name}*.so*", root)
        if path.name.split(".so")[0] in (f"lib{name}", f"lib{name}_minimal")
    ]
    best = min(
        fitting,
        key=lambda path: ("_minimal" in path.name, path.name.endswith(".so")),
        default=None,
    )
    return None if best is None else f"/{best.relative_to(root)}"


def loaded_allocator() -> str:
    """Return the allocator that this process really uses, whatever was requested.

    It is named after the library that provides ``malloc``. The C library is ``glibc_tuned`` if a
    large block stays in memory after it is freed, ``glibc_huge`` if the block also asked for huge
    pages, else ``default``; an unknown library gives its file name. Call it in the main thread:
    glibc keeps large blocks only in the heap of that thread. Allocates and frees 64 MiB; raises
    MemoryError if it cannot.
    """
    path = _library_of_malloc()
    named = _allocator_in(path)
    if named is not None:
        return named
    if re.match(r"(libc\.|libc-|ld-musl)", Path(path).name) is None:
        return Path(path).name or "unknown"
    kept, huge = _large_block()
    if not kept:
        return "default"
    return "glibc_huge" if huge else "glibc_tuned"


def release_memory() -> bool:
    """Return freed memory to the kernel; False if the allocator cannot do that on request.

    All allocators loaded in the process are asked, whichever one is in use.
    """
    library = ctypes.CDLL(None)
    known = False
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
        known = True
    if hasattr(library, "MallocExtension_ReleaseFreeMemory"):
        library.MallocExtension_ReleaseFreeMemory()
        known = True
    if hasattr(library, "mallctl"):
        for control in ("thread.tcache.flush", f"arena.{_JEMALLOC_ALL_ARENAS}.purge"):
            library.mallctl(control.encode(), None, None, None, ctypes.c_size_t(0))
        known = True
    if hasattr(library, "mi_collect"):
        library.mi_collect(ctypes.c_bool(True))
        known = True
    return known


def _allocator_in(path: str) -> str | None:
    """Return the allocator that a library path belongs to, such as ``tcmalloc``, or None."""
    file = Path(path).name
    return next((name for name in _LIBRARIES if file.startswith(f"lib{name}")), None)


def _library_files(pattern: str, root: Path) -> Iterable[Path]:
    for folder in _FOLDERS:
        for below_it in (pattern, f"{platform.machine()}-linux-*/{pattern}"):
            yield from sorted(below(root, folder).glob(below_it))


class _SharedObject(ctypes.Structure):
    """``Dl_info`` of dladdr(3)."""

    _fields_ = (
        ("path", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _library_of_malloc() -> str:
    library = ctypes.CDLL(None)
    found = _SharedObject()
    # every allocator also replaces this; malloc may resolve to a Python that is not a PIE
    function = ctypes.cast(library.malloc_usable_size, ctypes.c_void_p)
    library.dladdr(function, ctypes.byref(found))
    return os.fsdecode(found.path or b"")


def _large_block() -> tuple[bool, bool]:
    """Return whether a freed block's end is still in memory, and whether it asked for huge pages.

    The first comes from mincore(2), the second from smaps of proc(5).

    Page faults of a second block would show the first too, but their number is ambiguous with huge
    pages and in sandboxes such as gVisor, which count none. By default glibc maps a new block above
    32 MiB unless freed memory has room for it; so the block is larger than all freed memory, and
    only its end is touched.
    """
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    size = _free_in_heap(library) + _BLOCK
    block = library.malloc(ctypes.c_size_t(size))
    if block is None:
        raise MemoryError("no 64 MiB to examine the allocator with")
    page = mmap.PAGESIZE
    pages = _BLOCK // page - 1
    first = (block + size) // page * page - pages * page
    ctypes.memset(first, 1, pages * page)
    huge = _advised(first)
    library.free(ctypes.c_void_p(block))
    resident = (ctypes.c_ubyte * pages)()
    refused = library.mincore(ctypes.c_void_p(first), ctypes.c_size_t(pages * page), resident)
    release_memory()
    return not refused and sum(byte & 1 for byte in resident) > pages // 2, huge


def _advised(address: int) -> bool:
    """True if the memory at an address has the flag of madvise(MADV_HUGEPAGE)."""
    inside = False
    for line in (read_text(Path("/proc/self/smaps")) or "").splitlines():
        if found := _MAPPING.match(line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    return False


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _free_in_heap(library: ctypes.CDLL) -> int:
    """Return the bytes in freed blocks that glibc keeps; 0 if it is too old to report them."""
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _MallInfo
    return int(library.mallinfo2().fordblks)
