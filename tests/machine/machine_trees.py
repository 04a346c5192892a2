"""Builders of recorded file trees: what a kernel shows of a machine, below a temporary root."""

from collections.abc import Mapping, Sequence
from pathlib import Path

GIB = 2**30


def write(root: Path, files: Mapping[str, object]) -> Path:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return root


def cpu_list(cpus: Sequence[int]) -> str:
    return ",".join(str(cpu) for cpu in cpus)


def add_cores(
    root: Path,
    cores: Sequence[Sequence[int]],
    packages: Sequence[int],
    nodes: Sequence[int],
    siblings_file: str = "core_cpus_list",
) -> Path:
    """One entry per physical core: its logical CPUs, its package and its NUMA node."""
    files: dict[str, object] = {}
    members: dict[int, list[int]] = {}
    for number, (cpus, package, node) in enumerate(zip(cores, packages, nodes, strict=True)):
        members.setdefault(node, []).extend(cpus)
        for cpu in cpus:
            folder = f"/sys/devices/system/cpu/cpu{cpu}/topology"
            files[f"{folder}/{siblings_file}"] = cpu_list(cpus)
            files[f"{folder}/physical_package_id"] = package
            files[f"{folder}/core_id"] = number
    for node, cpus in members.items():
        files[f"/sys/devices/system/node/node{node}/cpulist"] = cpu_list(sorted(cpus))
    every = sorted(cpu for core in cores for cpu in core)
    files["/sys/devices/system/cpu/online"] = cpu_list(every)
    return write(root, files)


def two_sockets(root: Path) -> Path:
    """2 sockets x 16 cores with SMT, even CPUs on socket 0, siblings 32 apart."""
    cores = [(cpu, cpu + 32) for cpu in range(32)]
    sockets = [cpu % 2 for cpu in range(32)]
    return add_cores(root, cores, sockets, sockets)


def eight_nodes(root: Path) -> Path:
    """1 socket x 64 cores without SMT in 8 nodes, neighbouring CPUs on one node."""
    nodes = [cpu // 8 for cpu in range(64)]
    return add_cores(root, [(cpu,) for cpu in range(64)], [0] * 64, nodes)


def sub_clusters(root: Path) -> Path:
    """2 sockets whose halves are nodes of 4, 4, 4 and 2 cores, SMT siblings 14 apart.

    Node 4 has memory and no CPU.
    """
    nodes = [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    packages = [node // 2 for node in nodes]
    write(root, {"/sys/devices/system/node/node4/cpulist": ""})
    return add_cores(root, [(cpu, cpu + 14) for cpu in range(14)], packages, nodes)


def hybrid(root: Path) -> Path:
    """8 fast cores with SMT (0-15) and 8 slow ones without (16-23)."""
    cores = [(cpu, cpu + 1) for cpu in range(0, 16, 2)] + [(cpu,) for cpu in range(16, 24)]
    write(root, {"/sys/devices/cpu_core/cpus": "0-15", "/sys/devices/cpu_atom/cpus": "16-23"})
    return add_cores(root, cores, [0] * 16, [0] * 16)


def quiet_machine(root: Path) -> Path:
    """4 cores, one node, nothing to advise about, on bare metal without glibc."""
    add_cores(root, [(0,), (1,), (2,), (3,)], [0] * 4, [0] * 4)
    governor = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
    return write(
        root,
        {
            **{governor.format(cpu): "performance" for cpu in range(4)},
            "/sys/devices/system/cpu/intel_pstate/no_turbo": 1,
            "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
            "/proc/sys/kernel/osrelease": "6.1.0-9-amd64",
            "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) X\nflags\t\t: fpu "
            "avx512_bf16 avx512_vnni",
            "/proc/loadavg": "0.10 0.20 0.30 1/99 1234",
            "/proc/stat": "cpu  1000 0 1000 97000 900 0 0 100 0 0\ncpu0 1 0 1 1 0 0 0 25 0 0",
            "/proc/meminfo": "MemTotal:       33554432 kB\nMemFree:         1048576 kB\n"
            "MemAvailable:   25165824 kB\nSwapTotal:       1048576 kB\nSwapFree:        1048576 kB",
        },
    )


def mount_v1(root: Path, path: str, shown: str = "/") -> Path:
    """Version 1 with cpu and memory hierarchies; this process is in ``path`` of both."""
    return write(
        root,
        {
            "/proc/self/cgroup": f"5:cpu,cpuacct:{path}\n4:memory:{path}\n1:name=systemd:/x",
            "/proc/self/mountinfo": (
                "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
                f"32 31 0:29 {shown} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup "
                "rw,cpu,cpuacct\n"
                f"35 31 0:32 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
            ),
            "/sys/fs/cgroup/cpu,cpuacct/cgroup.procs": "",
            "/sys/fs/cgroup/memory/cgroup.procs": "",
        },
    )


def mount_v2(root: Path, path: str, shown: str = "/") -> Path:
    """Version 2 alone; this process is in ``path``."""
    return write(
        root,
        {
            "/proc/self/cgroup": f"0::{path}",
            "/proc/self/mountinfo": (
                f"31 23 0:28 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
            ),
            "/sys/fs/cgroup/cgroup.procs": "",
        },
    )
