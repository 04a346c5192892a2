"""Which instances to serve single requests with, and their highest throughput."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from coresplit.planner.option import Option, Speedup, option_of, speedups
from coresplit.planner.profile import Profile
from coresplit.records import Split, Variant, split_of
from coresplit.stats.difference import between

TOLERANCE = 0.1
"""For more throughput, a single request may take this share longer than the fastest."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Instances side by side, each with the largest batch it takes at once.

    ``first_s`` is the latency of a single request in seconds; ``full`` is the prediction with every
    instance at its largest batch.
    """

    variant: Variant
    first_s: float
    full: Option

    @property
    def split(self) -> Split:
        """The instances."""
        return self.full.split

    @property
    def throughput(self) -> float:
        """Inferences per second with every instance at its largest batch."""
        return self.full.throughput


def capacities_of(profile: Profile, cores: int, limit_s: float = math.inf) -> list[Capacity]:
    """The capacity of equal instances for every thread count, within ``limit_s`` per batch."""
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
        # highest throughput; of equals, the smallest batch keeps other requests waiting least
        batch = max(fitting, key=lambda each: (each / fitting[each], -each))
        full = option_of(profile, split_of([(threads, batch)] * count))
        found.append(Capacity(variant=profile.variant, first_s=latencies[1], full=full))
    return found


def best_capacity(found: Iterable[Capacity]) -> Capacity | None:
    """The capacity of highest throughput that answers single requests about as fast as any.

    None if there is nothing to choose from.
    """
    there = list(found)
    if not there:
        return None
    lowest = min(each.first_s for each in there)
    near = [each for each in there if each.first_s <= (1 + TOLERANCE) * lowest]
    return max(near, key=lambda each: (each.throughput, -each.first_s))


def gains(one: Capacity, rivals: Sequence[Capacity]) -> list[Speedup]:
    """The predicted throughput of one over that of each rival, tested as one family."""
    contrasts = []
    for rival in rivals:
        found = between(one.full.location, rival.full.location)
        inputs = math.log(one.split.batch / rival.split.batch)
        contrasts.append(msgspec.structs.replace(found, log=found.log + inputs))
    return speedups(contrasts)
