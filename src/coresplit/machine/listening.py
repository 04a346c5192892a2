"""Find the CPUs that a server on this machine uses: those its threads are bound to."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from coresplit.machine.kernel_files import PARENT, below, read_stat, read_text
from coresplit.machine.topology import parse_cpu_list

_LISTEN = "0A"


def server_cpus(port: int, everything: frozenset[int], root: Path = Path("/")) -> frozenset[int]:
    """Return the CPUs that the processes listening on ``port`` and their descendants are bound to.

    Unbound threads are ignored if others are bound; if none is bound, the result is ``everything``.
    It is empty if no process listens, or if the process is hidden.
    """
    pids = _listeners(port, root)
    if not pids:
        return frozenset()
    masks = [mask & everything for pid in _family(pids, root) for mask in _masks(pid, root)]
    bound = [mask for mask in masks if mask < everything]
    return frozenset().union(*bound) if bound else everything


def _listeners(port: int, root: Path) -> set[int]:
    inodes = set()
    for name in ("tcp", "tcp6"):
        for line in (read_text(below(root, f"/proc/net/{name}")) or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and (fields[3], _port(fields[1])) == (_LISTEN, port):
                inodes.add(f"socket:[{fields[9]}]")
    return {pid for pid in _pids(root) if inodes and _holds(pid, inodes, root)}


def _port(address: str) -> int:
    """Return the port of an address such as ``0100007F:1F90``."""
    return int(address.rpartition(":")[2], 16)


def _holds(pid: int, inodes: set[str], root: Path) -> bool:
    with contextlib.suppress(OSError):
        for each in below(root, f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(each.readlink()) in inodes:
                    return True
    return False


def _family(pids: set[int], root: Path) -> set[int]:
    """Return processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for pid in _pids(root):
        _, fields = read_stat(below(root, f"/proc/{pid}/stat"))
        if len(fields) > PARENT:
            children.setdefault(int(fields[PARENT]), []).append(pid)
    found, left = set(pids), list(pids)
    while left:
        for pid in children.get(left.pop(), ()):
            if pid not in found:
                found.add(pid)
                left.append(pid)
    return found


def _masks(pid: int, root: Path) -> Iterator[frozenset[int]]:
    with contextlib.suppress(OSError):
        for task in below(root, f"/proc/{pid}/task").iterdir():
            text = read_text(task / "status") or ""
            match = re.search(r"^Cpus_allowed_list:\s*(\S+)$", text, re.MULTILINE)
            if match is not None:
                yield frozenset(parse_cpu_list(match[1]))


def _pids(root: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each.name) for each in below(root, "/proc").iterdir() if each.name.isdecimal()]
    return []
