"""A split with its predicted latency, and the comparison of two."""

import math
from collections.abc import Collection, Sequence

import msgspec

from coresplit.planner.profile import Doubt, Profile, ProfilePoint
from coresplit.planner.spread import Part, located
from coresplit.records import Interval, Split
from coresplit.stats.difference import Contrast, Relation, between, decide
from coresplit.stats.student import quantile
from coresplit.stats.variance import CONFIDENCE, Location


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A split and its predicted latency of the whole batch, in seconds.

    ``predicted`` is a prediction interval: the median that a verification measures lies in it 95
    times in 100. ``location`` says the same for comparisons. ``doubts`` are those about any of its
    latencies, by name.
    """

    split: Split
    predicted: Interval
    location: Location
    doubts: tuple[Doubt, ...] = ()

    @property
    def throughput(self) -> float:
        """Inputs per second."""
        return self.split.batch / self.predicted.value


class Speedup(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as fast as a rival, with a 95 % interval, and what that shows."""

    low: float
    ratio: float
    high: float
    relation: Relation

    @property
    def tie(self) -> bool:
        """True if neither is shown to be faster."""
        return self.relation not in ("faster", "slower")


SAME = Speedup(low=1.0, ratio=1.0, high=1.0, relation="equivalent")
"""The speedup of a split over itself."""


def option_of(profile: Profile, split: Split) -> Option:
    """A split with its prediction: the whole batch is done when the slowest instance is.

    Each instance takes what the profile predicts for it, as if the other cores of the split were
    busy with copies of it, even if the instances differ.
    """
    cells = dict.fromkeys(split.cells)
    return option_with(profile, split, [profile.latency_at(cell, split.cores) for cell in cells])


def option_with(profile: Profile, split: Split, known: Collection[ProfilePoint]) -> Option:
    """A split whose distinct instances take ``known`` each, in the order of its cells."""
    mixed = len(split.pieces) > 1
    places = [located(each.latency, _parts(profile, each, mixed)) for each in known]
    latency = max(each.latency for each in known)
    latest = max(places, key=lambda place: place.bounds[1])
    predicted = Interval(
        low=min(latency, max(place.bounds[0] for place in places)),
        value=latency,
        high=max(latency, latest.bounds[1]),
    )
    # reach to the upper end, which may belong to another instance than the slowest
    reach = latest.log + latest.halfwidth - math.log(latency)
    doubts = frozenset[Doubt](["mixed"] if mixed else [])
    doubts = doubts.union(*(each.doubts for each in known))
    return Option(
        split=split,
        predicted=predicted,
        location=Location(
            log=math.log(latency),
            error=max(0.0, reach / quantile(CONFIDENCE, latest.df)),
            df=latest.df,
        ),
        doubts=tuple(sorted(doubts)),
    )


def _parts(profile: Profile, known: ProfilePoint, mixed: bool) -> list[Part]:
    spread = profile.spread
    parts = [known.part(), spread.visit]
    parts += [spread.between] if "interpolated" in known.doubts else []
    parts += [spread.scaled] if mixed or "scaled" in known.doubts else []
    return parts


def compared(one: Option, others: Sequence[Option]) -> list[Speedup]:
    """The predicted speedup of one over each of the others, tested as one family."""
    contrasts = [between(one.location, other.location) for other in others]
    return speedups(contrasts)


def speedups(contrasts: Sequence[Contrast]) -> list[Speedup]:
    """The contrasts of one family as speedups with decided relations."""
    return [
        Speedup(low=found.bounds[0], ratio=found.ratio, high=found.bounds[1], relation=relation)
        for found, relation in zip(contrasts, decide(contrasts), strict=True)
    ]
