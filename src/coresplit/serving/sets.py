"""Sets of instances, and what a change from one to another starts, keeps and closes; pure."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from coresplit.serving.dividing import Latencies


class Place(msgspec.Struct, frozen=True, order=True):
    """What one instance is: equal places of two sets are one process."""

    cpus: tuple[int, ...]
    optimization: str = "none"
    allocator: str = "default"

    @property
    def threads(self) -> int:
        """One on each core."""
        return len(self.cpus)

    def meets(self, other: "Place") -> bool:
        """Whether they have a core in common."""
        return not set(self.cpus).isdisjoint(other.cpus)


class InstanceSet(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that serve together, none of which share a core.

    An instance takes ``most_rows`` at once. ``latencies`` are those of an instance of this set,
    and go on being observed. Raises ValueError for instances that share a core.
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
        """Those of all instances."""
        return sum(place.threads for place in self.places)


def missing(wanted: InstanceSet, there: Collection[Place]) -> tuple[Place, ...]:
    """The places of a set whose instances are yet to be started."""
    return tuple(place for place in wanted.places if place not in there)


def expected_memory(places: Iterable[Place], known: Mapping[Place, int]) -> int:
    """Bytes that instances will take, from what others took that were prepared alike.

    Where none was, as much as the largest one known.
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
    """The places that stay: those of the active set, and of others as far as memory goes.

    ``others`` come in the order in which they should stay, the last active one first; one of which
    an instance is not ``there`` is none that waits.
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
