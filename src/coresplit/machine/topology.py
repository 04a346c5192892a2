"""Cores, NUMA nodes and caches of the processor, from sysfs and /proc/cpuinfo."""

import re
from collections.abc import Collection
from pathlib import Path

from coresplit.machine.kernel_files import CPUS, NODES, below, read_int, read_text
from coresplit.records import Core

_CACHES = f"{CPUS}/cpu0/cache"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
NOT_STATED = 64 * 2**20
"""Bytes assumed if the kernel reports no caches, as in some virtual machines."""

# common Arm server parts, for which /proc/cpuinfo has only numbers
_ARM_PARTS = {
    "0xd08": "Cortex-A72",
    "0xd0c": "Neoverse N1",
    "0xd40": "Neoverse V1",
    "0xd49": "Neoverse N2",
    "0xd4f": "Neoverse V2",
    "0xd84": "Neoverse V3",
    "0xd8e": "Neoverse N3",
}


_FLAGS = frozenset(
    {
        *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
        *("asimd", "asimddp", "asimdhp", "i8mm", "bf16"),
    }
)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return ascending CPU ids of a kernel list such as ``0-3,8,10-11``; none for an empty text.

    Raises ValueError for anything else.
    """
    cpus: set[int] = set()
    for part in text.strip().split(",") if text.strip() else []:
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"'{text}' is not a kernel CPU list such as 0-3,8")
        cpus.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(cpus))


def read_cpu_list(path: Path) -> tuple[int, ...]:
    """Return the CPU or node ids in a file; empty if it is missing or is not a list."""
    try:
        return parse_cpu_list(read_text(path) or "")
    except ValueError:
        return ()


def online_cpus(root: Path = Path("/")) -> tuple[int, ...]:
    """Return all online logical CPUs, inside the affinity mask or not; empty if unknown."""
    return read_cpu_list(below(root, f"{CPUS}/online"))


def siblings(cpu: int, root: Path = Path("/")) -> tuple[int, ...]:
    """Return the logical CPUs that share a physical core with ``cpu``, including itself.

    ``core_cpus_list`` is the newer name of ``thread_siblings_list``.
    """
    for name in ("core_cpus_list", "thread_siblings_list"):
        cpus = read_cpu_list(below(root, f"{CPUS}/cpu{cpu}/topology/{name}"))
        if cpu in cpus:
            return cpus
    return (cpu,)


def node_lists(root: Path = Path("/")) -> dict[int, tuple[int, ...]]:
    """Return the CPU ids of every NUMA node; memory-only nodes are left out."""
    found: dict[int, tuple[int, ...]] = {}
    for folder in below(root, NODES).glob("node[0-9]*"):
        cpus = read_cpu_list(folder / "cpulist")
        if cpus:
            found[int(folder.name.removeprefix("node"))] = cpus
    return found


def physical_cores(mask: Collection[int], root: Path = Path("/")) -> tuple[Core, ...]:
    """Return the physical cores of an affinity mask, in sequential order.

    Fast cores come before slow ones, then cores are ordered by package and node. SMT siblings are
    represented by the lowest one inside the mask. Without siblings in sysfs, package and core id
    identify cores; without those, every logical CPU is a core.
    """
    slow = _slow_cpus(mask, root)
    node_of = {cpu: node for node, cpus in node_lists(root).items() for cpu in cpus}
    cores: dict[object, Core] = {}
    for cpu in sorted(mask):
        identity = _identity(cpu, root)
        if identity not in cores:
            package = read_int(below(root, f"{CPUS}/cpu{cpu}/topology/physical_package_id"))
            # some virtual and Arm machines report package -1, which means unknown
            cores[identity] = Core(
                cpu=cpu,
                package=max(package or 0, 0),
                node=node_of.get(cpu, 0),
                kind="" if slow is None else "slow" if cpu in slow else "fast",
            )

    def order(core: Core) -> tuple[object, ...]:
        return (core.kind == "slow", core.package, core.node, core.cpu)

    return tuple(sorted(cores.values(), key=order))


def _identity(cpu: int, root: Path) -> object:
    """Return a key that logical CPUs share if and only if they are one physical core."""
    folder = below(root, f"{CPUS}/cpu{cpu}/topology")
    if (folder / "core_cpus_list").exists() or (folder / "thread_siblings_list").exists():
        return siblings(cpu, root)
    ids = [read_int(folder / name) for name in ("physical_package_id", "die_id", "core_id")]
    if ids[2] is None or ids[2] < 0:
        return cpu
    return ("core", *ids)


def _slow_cpus(mask: Collection[int], root: Path) -> set[int] | None:
    """Return the CPUs slower than the machine's fastest kind; None if all may be of one kind.

    Linux lists both kinds of an Intel hybrid CPU, and a capacity for every CPU of Arm big.LITTLE.
    All CPUs of the machine are compared, so that a core has the same kind in every mask.
    """
    every = {*online_cpus(root), *mask}
    fast, slow = (
        read_cpu_list(below(root, f"/sys/devices/{kind}/cpus")) for kind in ("cpu_core", "cpu_atom")
    )
    if fast and slow:
        return every - set(fast)
    stated = {cpu: read_int(below(root, f"{CPUS}/cpu{cpu}/cpu_capacity")) for cpu in every}
    capacities = {cpu: capacity for cpu, capacity in stated.items() if capacity is not None}
    if len(set(capacities.values())) < 2:
        return None
    return {cpu for cpu, capacity in capacities.items() if capacity < max(capacities.values())}


def cpu_fields(root: Path = Path("/")) -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo; empty if there is none."""
    fields: dict[str, str] = {}
    for line in (read_text(below(root, "/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), " ".join(value.split()))
    return fields


def cpu_flags(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the instruction sets of the CPU that affect how fast a network runs, sorted.

    The names are the kernel's, such as ``avx512_vnni`` on x86 and ``i8mm`` on Arm.
    """
    fields = cpu_fields(root)
    stated = {*fields.get("flags", "").split(), *fields.get("Features", "").split()}
    return tuple(
        sorted(flag for flag in stated if flag in _FLAGS or flag.startswith(("amx_", "sve")))
    )


def cpu_model(root: Path = Path("/")) -> str:
    """Return the CPU's name: ``model name`` on x86, part and implementer on Arm."""
    fields = cpu_fields(root)
    for name in ("model name", "cpu model", "cpu", "Model"):
        if fields.get(name):
            return fields[name]
    part = fields.get("CPU part", "")
    if part:
        known = _ARM_PARTS.get(part, f"part {part}")
        return f"Arm {known}, implementer {fields.get('CPU implementer', 'unknown')}"
    return fields.get("Hardware") or "unknown CPU"


def last_level_cache(root: Path = Path("/")) -> int:
    """Return the bytes of the first CPU's largest cache: the last level before memory."""
    folders = below(root, _CACHES).glob("index[0-9]*")
    return max((_size(read_text(each / "size") or "") for each in folders), default=0) or NOT_STATED


def _size(text: str) -> int:
    """Return the bytes of a size such as ``16384K``; 0 for anything else."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * _UNITS[match[2]] if match else 0
