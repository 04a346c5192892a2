"""Check that an instance runs with the settings of its spec."""

import os

from coresplit.errors import ReadbackMismatch
from coresplit.instance.messages import InstanceSpec, Ready
from coresplit.machine.scheduling import name_of
from coresplit.machine.topology import parse_cpu_list
from coresplit.records import Evidence


def check_readback(spec: InstanceSpec, ready: Ready) -> None:
    """Raise ReadbackMismatch if the settings read back differ from the spec."""
    pairs: dict[str, tuple[object, object]] = {
        "threads": (spec.threads, ready.threads),
        "cores": (sorted(spec.cpus), sorted(ready.cpus)),
        "allocator": (spec.allocator, ready.allocator),
    }
    if spec.nodes and ready.nodes is not None:
        pairs["memory nodes"] = (sorted(spec.nodes), sorted(ready.nodes))
    if ready.scheduling:
        own = name_of(os.sched_getscheduler(0))
        pairs["scheduling"] = ([own], list(ready.scheduling))
    for what, (asked, found) in pairs.items():
        if asked != found:
            raise ReadbackMismatch(f"{spec}: asked for {what} {asked}, but it runs with {found}")


def check_threads(spec: InstanceSpec, evidence: Evidence) -> None:
    """Raise ReadbackMismatch unless each busy thread has its own core or may run on all of them.

    OpenVINO's threads keep resetting their affinity to all cores of their process; there are never
    more of them than cores.
    """
    allowed = [parse_cpu_list(text) for text in evidence.thread_cores]
    bound = [cpus for cpus in allowed if len(cpus) == 1]
    outside = set().union(*allowed) - set(spec.cpus)
    if len(set(bound)) < len(bound) or len(allowed) > len(spec.cpus) or outside:
        raise ReadbackMismatch(
            f"{spec}: its busy threads were allowed on cores {' and '.join(evidence.thread_cores)}"
            f", but each should have one of {', '.join(map(str, sorted(spec.cpus)))} to itself"
        )
