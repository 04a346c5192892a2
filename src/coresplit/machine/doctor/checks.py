"""Find what disturbs measurements on this machine and suggest remedies; changes nothing."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from coresplit.format import format_share
from coresplit.machine.counters import steal_seconds
from coresplit.machine.doctor.memory import Advice, memory_advice
from coresplit.machine.environment import not_inherited
from coresplit.machine.kernel_files import CPUS, TICK_S, below, read_int, read_text
from coresplit.machine.numa import memory_can_be_bound
from coresplit.machine.topology import (
    cpu_fields,
    cpu_flags,
    online_cpus,
    physical_cores,
    siblings,
)
from coresplit.records import Machine

__all__ = ["Advice", "examine"]

LOAD_SHARE = 0.2
STEAL_SHARE = 0.01
_INT8_X86 = ("avx512_vnni", "avx_vnni", "amx_int8")


def examine(
    machine: Machine,
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    can_bind: Callable[[], bool] = memory_can_be_bound,
) -> tuple[Advice, ...]:
    """Return all findings about this machine, warnings first.

    ``machine`` is the result of ``inspect`` for the same root. ``environment`` defaults to that of
    this process; ``can_bind`` returns whether it may bind memory to NUMA nodes.
    """
    variables = os.environ if environment is None else environment
    advice = [
        *_quota(machine),
        *_frequency(machine, root),
        *_load(machine, root),
        *_virtual(root),
        *_topology(machine, root),
        *_nodes(machine, can_bind),
        *_instructions(root),
        *_variables(variables),
        *memory_advice(machine, root, variables),
    ]
    return tuple(sorted(advice, key=lambda one: one.severity != "warning"))


def _quota(machine: Machine) -> Iterator[Advice]:
    quota, cores = machine.quota_cores, len(machine.cores)
    if quota is None or quota >= cores:
        return
    stated = f"the CPU quota is {quota:.3g} {'core' if quota == 1 else 'cores'}"
    if machine.usable < 1:
        yield Advice(
            what=f"{stated}: nothing can be measured, because every forward would be throttled",
            remedy="give the container at least one whole core, for example docker run --cpus 1",
            severity="warning",
        )
        return
    yield Advice(
        what=f"{stated}: only {machine.usable} of {cores} cores "
        f"{'is' if machine.usable == 1 else 'are'} used, because throttling distorts latencies",
        remedy=f"raise the quota to {cores} cores, for example docker run --cpus {cores}, or give "
        "the container whole cores of its own with --cpuset-cpus",
        severity="warning",
    )


def _frequency(machine: Machine, root: Path) -> Iterator[Advice]:
    governors = {
        core.cpu: read_text(below(root, f"{CPUS}/cpu{core.cpu}/cpufreq/scaling_governor"))
        for core in machine.cores
    }
    other = [name for name in governors.values() if name and name != "performance"]
    if other:
        names = " and ".join(sorted(set(other)))
        yield Advice(
            what=f"the frequency governor is {names} on {len(other)} of {len(governors)} cores: "
            "the clock follows the load, so short forwards run at a lower clock",
            remedy="as root: cpupower frequency-set -g performance",
            severity="warning",
        )
    pstate, boost = f"{CPUS}/intel_pstate/no_turbo", f"{CPUS}/cpufreq/boost"
    if read_int(below(root, pstate)) == 0:
        command = f"echo 1 > {pstate}"
    elif read_int(below(root, boost)) == 1:
        command = f"echo 0 > {boost}"
    else:
        return
    yield Advice(
        what="turbo is on: the clock drops as more cores are busy, so scaling looks worse than it "
        "is, and latency depends on the temperature",
        remedy=f"leave it on to measure what users get, or turn it off, as root: {command}",
        severity="note",
    )


def _load(machine: Machine, root: Path) -> Iterator[Advice]:
    text = read_text(below(root, "/proc/loadavg")) or "0"
    load = float(text.split()[0])
    cores = len(physical_cores(online_cpus(root), root)) or len(machine.cores)
    if cores and load / cores > LOAD_SHARE:
        yield Advice(
            what=f"the load average is {load:.1f} on {cores} cores: other programs use CPU time",
            remedy="stop them (top lists them), wait a minute, and run coresplit doctor again",
            severity="warning",
        )


def _virtual(root: Path) -> Iterator[Advice]:
    share = _steal_share(root)
    if share > STEAL_SHARE:
        yield Advice(
            what=f"the hypervisor took {format_share(share)} of the CPU time since boot: other "
            "virtual machines slow this one down",
            remedy="use a machine with dedicated cores; the report shows cells with steal time",
            severity="warning",
        )
    kind = read_text(below(root, "/sys/hypervisor/type"))
    if kind or "hypervisor" in cpu_fields(root).get("flags", "").split():
        yield Advice(
            what="this is a virtual machine: its cores may be hardware threads of the host, and "
            "other virtual machines share caches and memory bandwidth",
            remedy="compare only runs on the same type of machine; dedicated or bare-metal "
            "machines vary less",
            severity="note",
        )


def _steal_share(root: Path) -> float:
    """Return stolen over all ticks since boot, from fields 1 to 8 of /proc/stat's first line."""
    words = (read_text(below(root, "/proc/stat")) or "").partition("\n")[0].split()
    total = sum(int(word) for word in words[1:9]) * TICK_S
    return steal_seconds(None, root) / total if total else 0.0


def _topology(machine: Machine, root: Path) -> Iterator[Advice]:
    shared = [core for core in machine.cores if len(siblings(core.cpu, root)) > 1]
    if shared:
        yield Advice(
            what=f"SMT is on: {len(shared)} of {len(machine.cores)} physical cores have several "
            "hardware threads, and coresplit uses one of each",
            remedy="nothing to do; keep other programs off the sibling threads, or turn SMT off, "
            f"as root: echo off > {CPUS}/smt/control",
            severity="note",
        )
    if len({core.kind for core in machine.cores}) > 1:
        yield Advice(
            what="the CPU has fast and slow cores: the slowest thread determines the latency of a "
            "forward",
            remedy="threads are placed on fast cores first; to measure one kind only: taskset -c "
            "LIST coresplit bench MODEL (lscpu -e lists them)",
            severity="warning",
        )
    every = len(physical_cores(online_cpus(root), root))
    if every > len(machine.cores):
        yield Advice(
            what=f"the affinity mask allows {len(machine.cores)} of the machine's {every} physical "
            "cores: the others are not measured",
            remedy="start coresplit without taskset or --cpuset-cpus to use them all",
            severity="note",
        )


def _nodes(machine: Machine, can_bind: Callable[[], bool]) -> Iterator[Advice]:
    used = {core.node for core in machine.cores[: machine.usable]}
    if len(used) > 1:
        yield Advice(
            what=f"the usable cores are on {len(used)} NUMA nodes: memory on another node is "
            "slower, and placement decides which threads share caches and memory bandwidth",
            remedy="measure both placements",
            option="mapping=sequential,interleave",
            severity="note",
        )
    if machine.nodes > 1 and not can_bind():
        yield Advice(
            what="the kernel does not allow binding memory to NUMA nodes, so an instance may get "
            "memory on a remote node when the local one is full",
            remedy="in a container: docker run --cap-add SYS_NICE; otherwise leave enough memory "
            "free on each node (numactl --hardware shows it)",
            severity="note",
        )


def _instructions(root: Path) -> Iterator[Advice]:
    flags = cpu_flags(root)
    arm = "asimd" in flags
    if not flags:
        return
    for what, optimization, needed in (
        ("bfloat16", "bf16", ("bf16",) if arm else ("avx512_bf16", "amx_bf16")),
        ("int8", "int8", ("i8mm", "asimddp") if arm else _INT8_X86),
    ):
        if not set(needed) & set(flags):
            yield Advice(
                what=f"the CPU has no {what} instructions ({', '.join(needed)}): the "
                f"optimization {optimization} gains little or is slower",
                remedy=f"leave out {optimization}, or use a CPU that has them",
                severity="note",
            )


def _variables(environment: Mapping[str, str]) -> Iterator[Advice]:
    present = not_inherited(environment)
    if present:
        yield Advice(
            what=f"set in the environment: {', '.join(present)}; coresplit drops or replaces "
            "them, because it sets the threads, cores and allocator of each instance",
            remedy=f"nothing to do; to silence this note: unset {' '.join(present)}",
            severity="note",
        )
