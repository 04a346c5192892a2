"""The plan: the best split of a batch, its rivals, and what each is predicted to take."""

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import msgspec

from coresplit.planner.profile import Doubt, Known, Profile, between
from coresplit.planner.solver import largest_throughput, solve
from coresplit.records import Configuration, Estimate, Mapping, Setting, Split, split_of


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A split and its predicted latency of the whole batch, in seconds with an interval.

    ``doubts`` are those about any of its latencies, by name.
    """

    split: Split
    predicted: Estimate
    doubts: tuple[Doubt, ...] = ()

    @property
    def throughput(self) -> float:
        """Inputs per second."""
        return self.split.batch / self.predicted.latency


class Speedup(msgspec.Struct, frozen=True, kw_only=True):
    """How many times faster than a rival, with an interval; a tie where neither is faster."""

    low: float
    ratio: float
    high: float
    tie: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one batch; ``fat`` and ``thin`` are None where the profile lacks them.

    ``best`` is made of cells of the profile, and so is ``thin``; ``fat`` is interpolated where its
    batch lies between two of the profile, and may then be faster than ``best``. ``noise`` is the
    relative noise floor below which nothing is told apart, None for none.
    """

    optimization: str
    mapping: Mapping
    allocator: str
    setting: Setting
    cores: int
    batch: int
    best: Option
    fat: Option | None
    thin: Option | None
    noise: float | None

    def rival(self, name: Literal["fat", "thin"]) -> Option | None:
        """The configuration of that name."""
        return self.fat if name == "fat" else self.thin

    def speedup(self, name: Literal["fat", "thin"]) -> Speedup | None:
        """How much the best split is predicted to beat a rival by."""
        rival = self.rival(name)
        return None if rival is None else speedup_over(rival, self.best, self.noise)

    @property
    def configurations(self) -> tuple[tuple[Configuration, Option], ...]:
        """The best split and the rivals that differ from it and from each other."""
        named: tuple[tuple[Configuration, Option | None], ...] = (
            ("split", self.best),
            ("fat", self.fat),
            ("thin", self.thin),
        )
        found: dict[Split, tuple[Configuration, Option]] = {}
        for name, option in named:
            if option is not None:
                found.setdefault(option.split, (name, option))
        return tuple(found.values())


def plan(profile: Profile, cores: int, batch: int, noise: float | None = None) -> Plan | None:
    """The best split of ``batch`` over ``cores``; None where no cells make up the batch."""
    best = next(on_fewer_cores(profile, cores, batch), None)
    if best is None:
        return None
    latencies = profile.latencies(cores).items()
    thin = solve({cell: latency for cell, latency in latencies if cell[0] == 1}, cores, batch)
    like = profile.like
    return Plan(
        optimization=like.optimization,
        mapping=like.mapping,
        allocator=like.allocator,
        setting=like.setting,
        cores=cores,
        batch=batch,
        best=best,
        fat=_fat(profile, cores, batch),
        thin=option_of(profile, thin) if thin else None,
        noise=noise,
    )


def best_plan(
    profiles: Iterable[Profile], cores: int, batch: int, noise: float | None = None
) -> tuple[Plan, Profile] | None:
    """The plan of the lowest predicted latency among profiles, with its profile; None without."""
    found = [
        (made, profile)
        for profile in profiles
        if (made := plan(profile, cores, batch, noise)) is not None
    ]
    return min(found, key=lambda pair: pair[0].best.predicted.latency, default=None)


def on_fewer_cores(profile: Profile, cores: int, batch: int) -> Iterator[Option]:
    """The best split on every number of cores that is faster than all on fewer, fastest first.

    This is the Pareto front of latency against cores; the best split on ``cores`` leads it.
    """
    options: Iterable[Option] = _options(profile, cores, batch)
    if profile.alone:
        options = sorted(options, key=_order)
    for option in options:
        if option.split.cores <= cores:
            yield option
            cores = option.split.cores - 1


def fastest_within(profile: Profile, cores: int, limit: float) -> Option | None:
    """The split of the highest throughput that is done within ``limit`` seconds, any batch."""
    found = (
        largest_throughput(profile.latencies(busy), busy, limit)
        for busy in range(cores if not profile.alone else 1, cores + 1)
    )
    options = (option_of(profile, split) for split in found if split)
    within = (one for one in options if one.predicted.latency <= limit)
    return max(within, key=lambda one: one.throughput, default=None)


def option_of(profile: Profile, split: Split) -> Option:
    """A split with its prediction: the whole batch is done when its slowest instance is.

    Instances that differ are each predicted to take what the profile says of them, as if the
    other cores of the split were busy with copies of their own.
    """
    cells = dict.fromkeys(split.cells)
    return _option(split, [profile.among(cell, split.cores) for cell in cells])


def _options(profile: Profile, cores: int, batch: int) -> Iterator[Option]:
    """The best split of each number of cores, of the most first; some may not be on the front.

    An instance is the faster the fewer cores are busy beside it, so that those of a packed profile
    are solved for each number of busy cores. Else a split stands for all cores that it leaves.
    """
    while split := solve(profile.latencies(cores), cores, batch):
        yield option_of(profile, split)
        cores = cores - 1 if profile.alone else split.cores - 1


def _order(option: Option) -> tuple[float, int, int]:
    return option.predicted.latency, option.split.cores, option.split.count


def _fat(profile: Profile, cores: int, batch: int) -> Option | None:
    cells = profile.alone or profile.cells
    known = cells.get((cores, batch)) or between(cells, cores, batch)
    return None if known is None else _option(split_of([(cores, batch)]), [known])


def _option(split: Split, known: Collection[Known]) -> Option:
    predicted = Estimate(
        low=max(each.low for each in known),
        latency=max(each.latency for each in known),
        high=max(each.high for each in known),
    )
    doubts = sorted(frozenset[Doubt]().union(*(each.doubts for each in known)))
    return Option(split=split, predicted=predicted, doubts=tuple(doubts))


def speedup_over(rival: Option, best: Option, noise: float | None) -> Speedup:
    """How many times faster ``best`` is; a tie within the noise floor or overlapping intervals."""
    there, here = rival.predicted, best.predicted
    ratio, low, high = there.latency / here.latency, there.low / here.high, there.high / here.low
    floor = 1 + (noise or 0.0)
    within = 1 / floor <= ratio <= floor
    return Speedup(low=low, ratio=ratio, high=high, tie=within or low <= 1 <= high)
