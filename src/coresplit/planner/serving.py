"""What to serve with: instances for a load of single requests, and how much they take at most."""

import math
from collections.abc import Iterable

import msgspec

from coresplit.planner.profile import Profile
from coresplit.records import Split, Variant, split_of

TOLERANCE = 0.1
"""A single request may take so much longer than it must, as a share, for more throughput."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Instances side by side, each with the largest batch it takes at once.

    ``first_s`` is the latency of a single request in seconds, ``throughput`` the inferences per
    second with every instance at its largest batch, ``full_s`` what those batches take.
    """

    variant: Variant
    split: Split
    first_s: float
    full_s: float
    throughput: float

    @property
    def instances(self) -> tuple[tuple[int, int], ...]:
        """Threads and the largest batch of every instance."""
        return self.split.cells


def capacities_of(profile: Profile, cores: int, limit_s: float = math.inf) -> list[Capacity]:
    """What equal instances of every number of threads can take within ``limit_s`` a batch."""
    found = []
    for threads in profile.threads:
        count = cores // threads
        if not count or (threads, 1) not in profile.cells:
            continue
        busy = count * threads
        latencies = {
            batch: profile.latency_at((threads, batch), busy).latency
            for own, batch in profile.cells
            if own == threads
        }
        fitting = {batch: each for batch, each in latencies.items() if each <= limit_s}
        if not fitting:
            continue
        # of batches that are about as good the smallest one keeps others waiting least
        batch = max(fitting, key=lambda each: (each / fitting[each], -each))
        found.append(
            Capacity(
                variant=profile.variant,
                split=split_of([(threads, batch)] * count),
                first_s=latencies[1],
                full_s=fitting[batch],
                throughput=count * batch / fitting[batch],
            )
        )
    return found


def best_capacity(
    profiles: Iterable[Profile],
    cores: int,
    limit_s: float = math.inf,
    tolerance: float | None = TOLERANCE,
) -> Capacity | None:
    """The highest throughput of those that answer a single request about as fast as any.

    ``tolerance`` is how much longer a single request may take, as a share; None for any. None
    where nothing is within ``limit_s``.
    """
    found = [each for profile in profiles for each in capacities_of(profile, cores, limit_s)]
    if not found:
        return None
    lowest = min(each.first_s for each in found)
    near = [each for each in found if tolerance is None or each.first_s <= (1 + tolerance) * lowest]
    return max(near, key=lambda each: (each.throughput, -each.first_s))
