"""Bind memory to the NUMA nodes of the cores that use it.

``set_mempolicy`` and ``get_mempolicy`` are called as raw system calls, so libnuma is not needed.
A policy belongs to a thread and is inherited by the threads it starts.
"""

import ctypes
import platform
from collections.abc import Callable, Collection
from pathlib import Path

from coresplit.machine.kernel_files import NODES, below, read_text
from coresplit.machine.topology import read_cpu_list
from coresplit.records import Machine

_CALLS = {"x86_64": (238, 239), "aarch64": (237, 236)}
_DEFAULT, _BIND = 0, 2
_MODE = 0xFF
_MOST_NODES = 1024
_Mask = ctypes.c_uint64 * (_MOST_NODES // 64)
# the kernel uses one bit less than this
_BITS = ctypes.c_ulong(_MOST_NODES + 1)


def nodes_of(cpus: Collection[int], machine: Machine) -> tuple[int, ...]:
    """Return the NUMA nodes of these logical CPUs, ascending."""
    return tuple(sorted({core.node for core in machine.cores if core.cpu in cpus}))


def bind_memory(nodes: Collection[int]) -> bool:
    """Allocate memory of this thread, and of threads it starts later, on these NUMA nodes only.

    Of several nodes, the kernel uses the one nearest to the thread that first touches a page, so
    every thread has its memory nearby, and no memory is on a node without threads of the instance.
    Therefore the policy is MPOL_BIND, not MPOL_INTERLEAVE. Returns False and binds nothing if the
    kernel refuses (Docker forbids the call without CAP_SYS_NICE) or a node has no memory.
    """
    mask = _Mask()
    for node in nodes:
        mask[node // 64] |= 1 << node % 64
    if not _set(_BIND, mask):
        return False
    if bound_nodes() == tuple(sorted(nodes)):
        return True
    _set(_DEFAULT, None)
    return False


def bound_nodes() -> tuple[int, ...] | None:
    """Return the NUMA nodes that this thread's memory is bound to; None if unbound or unknown."""
    policy = _get()
    if policy is None or policy[0] & _MODE != _BIND:
        return None
    return tuple(node for node in range(_MOST_NODES) if policy[1][node // 64] >> node % 64 & 1)


def binding_facts(wanted: Collection[int]) -> dict[str, str]:
    """Return the nodes that this thread's memory is bound to as a fact; empty if none is wanted."""
    if not wanted:
        return {}
    bound = bound_nodes()
    return {"memory nodes": ",".join(map(str, bound)) if bound else "not bound"}


def memory_can_be_bound() -> bool:
    """True if this process may bind memory; tries it by setting the current policy again."""
    policy = _get()
    return policy is not None and _set(policy[0], policy[1] if any(policy[1]) else None)


def free_memory(nodes: Collection[int], root: Path = Path("/")) -> int | None:
    """Return the bytes available on these NUMA nodes: free memory and cache that can be dropped.

    None if they are all the nodes that have memory, so that binding excludes nothing. The kernel
    kills a bound process that needs more than this, even if other nodes have free memory.
    """
    if set(read_cpu_list(below(root, f"{NODES}/has_memory"))) <= set(nodes):
        return None
    total = 0
    for node in nodes:
        text = read_text(below(root, f"{NODES}/node{node}/meminfo")) or ""
        for line in text.splitlines():
            words = line.replace(":", " ").split()
            if len(words) > 3 and words[2] in ("MemFree", "Inactive(file)", "SReclaimable"):
                total += 1024 * int(words[3])
    return total


def _set(mode: int, mask: "ctypes.Array[ctypes.c_uint64] | None") -> bool:
    call = _call(0)
    return call is not None and call(ctypes.c_long(mode), mask, _BITS) == 0


def _get() -> "tuple[int, ctypes.Array[ctypes.c_uint64]] | None":
    call = _call(1)
    mode, mask = ctypes.c_int(), _Mask()
    flags = (ctypes.c_void_p(), ctypes.c_ulong())
    if call is None or call(ctypes.byref(mode), mask, _BITS, *flags) != 0:
        return None
    return mode.value, mask


def _call(which: int) -> Callable[..., int] | None:
    """Return system call 0 (set) or 1 (get) of this architecture; None if it is unknown."""
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        return None
    syscall = ctypes.CDLL(None).syscall
    syscall.restype = ctypes.c_long
    return lambda *arguments: int(syscall(ctypes.c_long(numbers[which]), *arguments))
