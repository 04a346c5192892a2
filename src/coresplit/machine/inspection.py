"""The machine as a record."""

import math
import os
from collections.abc import Collection
from pathlib import Path

from coresplit.machine.cgroups import cpu_quota, memory_limit
from coresplit.machine.kernel_files import below, read_fields, read_text
from coresplit.machine.topology import cpu_model, node_lists, online_cpus, physical_cores
from coresplit.records import Machine


def inspect(root: Path = Path("/"), mask: Collection[int] | None = None) -> Machine:
    """Return the machine below ``root``, as seen by a process with this affinity mask.

    ``mask`` defaults to that of this process. ``nodes`` is the number of NUMA nodes with CPUs,
    ``logical_cpus`` that of all online CPUs, inside the mask or not.
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
