"""The machine as a record, and the fingerprint that decides whether two runs may be joined."""

import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from coresplit.machine.cgroups import cpu_quota, memory_limit
from coresplit.machine.kernel_files import below, read_fields, read_text
from coresplit.machine.topology import cpu_model, node_lists, online_cpus, physical_cores
from coresplit.records import Machine, ModelInfo


def inspect(root: Path = Path("/"), mask: Collection[int] | None = None) -> Machine:
    """What the machine below ``root`` offers to a process with this affinity mask.

    ``mask`` defaults to the calling process's own. ``nodes`` counts the NUMA nodes of the
    machine that have CPUs, ``logical_cpus`` all CPUs the kernel runs, inside the mask or not.
    """
    if mask is None:
        mask = os.sched_getaffinity(0)
    cores = physical_cores(mask, root)
    quota = cpu_quota(root)
    return Machine(
        cpu_model=cpu_model(root),
        cores=cores,
        usable=len(cores) if quota is None else min(len(cores), math.floor(quota)),
        quota_cores=quota,
        memory=1024 * read_fields(below(root, "/proc/meminfo")).get("MemTotal", 0),
        memory_limit=memory_limit(root),
        kernel=read_text(below(root, "/proc/sys/kernel/osrelease")) or "unknown",
        nodes=max(len(node_lists(root)), 1),
        logical_cpus=len(online_cpus(root)) or len(mask),
    )


def fingerprint(machine: Machine, software: Mapping[str, str], model: ModelInfo) -> dict[str, str]:
    """Everything that must be equal for two runs to be joined, as text by name.

    ``software`` maps a library to its version.
    """
    kinds = [core.kind for core in machine.cores[: machine.usable]]
    mixed = {"fast cores": str(kinds.count("fast"))} if any(kinds) else {}
    return {
        "CPU model": machine.cpu_model,
        "usable cores": str(machine.usable),
        **mixed,
        "NUMA nodes": str(machine.nodes),
        "memory": f"{machine.memory / 2**30:.0f} GiB",
        "kernel": machine.kernel,
        **software,
        "model": model.name,
        "inputs": " ".join(map(str, model.inputs)),
        "weights": model.weights,
    }


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What two fingerprints disagree on, such as ``kernel: 6.1 there, 6.8 here``.

    Memory may differ by 1 GiB: the kernel reserves a little more or less of it at every start.
    """
    pairs = {
        name: (there.get(name) or "none", here.get(name) or "none")
        for name in dict.fromkeys([*there, *here])
    }
    return [
        f"{name}: {a} there, {b} here"
        for name, (a, b) in pairs.items()
        if a != b and not (name == "memory" and _nearly_equal(a, b))
    ]


def _nearly_equal(a: str, b: str) -> bool:
    sizes = [text.removesuffix(" GiB") for text in (a, b)]
    return all(size.isdecimal() for size in sizes) and abs(int(sizes[0]) - int(sizes[1])) <= 1
