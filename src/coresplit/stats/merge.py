"""Add up counters: of consecutive visits, and of instances that run side by side."""

import statistics
from collections.abc import Sequence

import msgspec

from coresplit.records import Evidence, Signs

_NOT_SUMS = ("peak_memory", "started_at", "threads", "thread_cores")


def in_turn(before: Evidence | None, new: Evidence) -> Evidence:
    """Sum of the evidence of two visits; the larger peak memory, the earlier start."""
    if before is None:
        return new
    sums = {
        field: getattr(before, field) + getattr(new, field)
        for field in Evidence.__struct_fields__
        if field not in _NOT_SUMS
    }
    return msgspec.structs.replace(
        new,
        **sums,
        peak_memory=max(before.peak_memory, new.peak_memory),
        started_at=before.started_at,
    )


def side_by_side(each: Sequence[Evidence]) -> Evidence:
    """Sum over instances that ran at the same time.

    They share the wall clock and the throttling of their cgroup, so the maximum counts. Stolen
    time is the mean of one instance, because its share of the wall time is what is judged.
    """
    first = each[0]
    shared = ("visits", "wall_s", "throttled_periods", "throttled_s")
    sums = {
        field: (max if field in shared else sum)(getattr(one, field) for one in each)
        for field in Evidence.__struct_fields__
        if field not in _NOT_SUMS
    }
    return msgspec.structs.replace(
        first,
        **sums | {"steal_s": statistics.fmean(one.steal_s for one in each)},
        peak_memory=sum(one.peak_memory for one in each),
        started_at=min(one.started_at for one in each),
        thread_cores=tuple(cores for one in each for cores in one.thread_cores),
    )


def signs_in_turn(each: Sequence[Signs | None]) -> Signs | None:
    """Signs over consecutive rounds; the core and sibling are those of the worst round."""
    known = [signs for signs in each if signs is not None]
    if not known:
        return None
    waits = [signs.waited_s for signs in known if signs.waited_s is not None]
    beside = max(known, key=lambda signs: signs.sibling_s)
    return msgspec.structs.replace(
        max(known, key=_shared),
        wall_s=sum(signs.wall_s for signs in known),
        waited_s=sum(waits) if waits else None,
        others_s=sum(signs.others_s for signs in known),
        sibling_s=sum(signs.sibling_s for signs in known),
        sibling=beside.sibling,
        switches=sum(signs.switches for signs in known),
        major_faults=sum(signs.major_faults for signs in known),
        clock_begin_hz=known[0].clock_begin_hz,
        clock_hz=known[-1].clock_hz,
    )


def signs_side_by_side(each: Sequence[Signs | None]) -> Signs | None:
    """Signs of instances that ran at the same time: those of the most disturbed one."""
    known = [signs for signs in each if signs is not None]
    if not known:
        return None
    beside = max(known, key=lambda signs: signs.sibling_s / signs.wall_s if signs.wall_s else 0.0)
    ends = [signs.clock_hz for signs in known if signs.clock_hz]
    return msgspec.structs.replace(
        max(known, key=_shared),
        sibling_s=beside.sibling_s,
        sibling=beside.sibling,
        switches=max(signs.switches for signs in known),
        major_faults=sum(signs.major_faults for signs in known),
        clock_hz=statistics.fmean(ends) if ends else None,
        clock_begin_hz=None,
    )


def _shared(signs: Signs) -> float:
    taken = signs.others_s if signs.waited_s is None else signs.waited_s
    return taken / signs.wall_s if signs.wall_s > 0 else 0.0
