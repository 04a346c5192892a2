"""Sets of instances, and which instances a change of set starts and keeps; pure."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from coresplit.serving.dividing import Latencies


class Place(msgspec.Struct, frozen=True, order=True):
    """The cores and variant of one instance; two sets with an equal place share its process."""

    cpus: tuple[int, ...]
    optimization: str = "none"
    allocator: str = "default"

    @property
    def threads(self) -> int:
        """The number of threads: one on each core."""
        return len(self.cpus)

    def meets(self, other: "Place") -> bool:
        """Whether both have a core in common."""
        return not set(self.cpus).isdisjoint(other.cpus)


class InstanceSet(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that serve together; no two share a core.

    An instance takes at most ``most_rows`` at once. ``latencies`` are those of an instance of this
    set, and are updated while it serves. Raises ValueError if instances share a core.
    """

    name: str
    places: tuple[Place, ...]
    most_rows: int
    latencies: Latencies

    def __post_init__(self) -> None:
        cpus = [cpu for place in self.places for cpu in place.cpus]
        if not cpus or len(set(cpus)) < len(cpus):
            raise ValueError(f"the instances of {self.name} need cores of their own")

    @property
    def cores(self) -> int:
        """The number of cores of all instances."""
        return sum(place.threads for place in self.places)


def missing(wanted: InstanceSet, there: Collection[Place]) -> tuple[Place, ...]:
    """Return the places of a set whose instances are not there yet."""
    return tuple(place for place in wanted.places if place not in there)


def expected_memory(places: Iterable[Place], known: Mapping[Place, int]) -> int:
    """Estimate the bytes that instances will take.

    An instance at an unknown place counts as the largest known one with the same optimization, or
    else as the largest known one.
    """
    total = 0
    for place in places:
        alike = [size for each, size in known.items() if each.optimization == place.optimization]
        total += known.get(place) or max(alike or known.values(), default=0)
    return total


def kept(
    active: InstanceSet,
    others: Sequence[InstanceSet],
    there: Collection[Place],
    known: Mapping[Place, int],
    most_bytes: float = math.inf,
) -> frozenset[Place]:
    """Return the places to keep: those of the active set, and of others that fit in memory.

    ``others`` are in order of priority, the last active one first. A set is skipped unless all its
    instances are ``there``.
    """
    found = set(active.places)
    taken = expected_memory(found, known)
    for other in others:
        more = set(other.places) - found
        size = expected_memory(more, known)
        if taken + size <= most_bytes and more <= set(there):
            found |= more
            taken += size
    return frozenset(found)
