"""Memory on the NUMA nodes of the cores that use it.

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
# The kernel takes one bit less than it is told.
_BITS = ctypes.c_ulong(_MOST_NODES + 1)


def nodes_of(cpus: Collection[int], machine: Machine) -> tuple[int, ...]:
    """The NUMA nodes of these logical CPUs, ascending."""
    return tuple(sorted({core.node for core in machine.cores if core.cpu in cpus}))


def bind_memory(nodes: Collection[int]) -> bool:
    """Take memory for this thread and those it starts from now on from these NUMA nodes only.

    With several nodes the kernel takes the one nearest to the thread that first touches a page,
    so every thread still has its own memory near, and none comes from a node that no thread of
    the instance runs on. That is why a set is bound (MPOL_BIND) and not interleaved, which would
    place pages by turns. False, and nothing is bound, where the kernel refuses (Docker forbids
    the call without CAP_SYS_NICE) or where some node has no memory to bind to.
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
    """The NUMA nodes that memory of this thread is bound to; None where it is not, or not told."""
    policy = _get()
    if policy is None or policy[0] & _MODE != _BIND:
        return None
    return tuple(node for node in range(_MOST_NODES) if policy[1][node // 64] >> node % 64 & 1)


def memory_can_be_bound() -> bool:
    """Whether this process may bind memory: it sets the policy that it has already."""
    policy = _get()
    return policy is not None and _set(policy[0], policy[1] if any(policy[1]) else None)


def free_memory(nodes: Collection[int], root: Path = Path("/")) -> int | None:
    """Bytes that can still be taken on these NUMA nodes: free, or cache that is dropped first.

    None where they are all the nodes that have memory, so that binding leaves nothing out. A
    process that needs more than this is ended by the kernel, even while other nodes have memory.
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
    """System call 0 (set) or 1 (get) of this processor, or None where its number is not known."""
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        return None
    syscall = ctypes.CDLL(None).syscall
    syscall.restype = ctypes.c_long
    return lambda *arguments: int(syscall(ctypes.c_long(numbers[which]), *arguments))
