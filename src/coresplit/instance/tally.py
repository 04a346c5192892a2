"""Adding up what was counted: of visits one after another, and of instances side by side."""

import statistics
from collections.abc import Sequence

import msgspec

from coresplit.records import Evidence

_NOT_SUMS = ("peak_memory", "started_at", "threads", "thread_cores")


def in_turn(before: Evidence | None, new: Evidence) -> Evidence:
    """Sum of two visits' evidence; peak memory is the larger, the start the earlier."""
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

    They share the wall clock and the throttling of their cgroup, of which the largest stands;
    stolen time stays that of one instance, as its share of the wall time is what is judged.
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
