"""Plan a batch: the fastest predicted configuration, its rivals, and which of them to run."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Map
from typing import Literal

import msgspec

from coresplit.planner.option import SAME, Option, Speedup, compared, option_of, option_with
from coresplit.planner.profile import Place, Points, Profile, ProfilePoint, interpolated_point
from coresplit.planner.solver import largest_throughput, solve
from coresplit.records import Configuration, Setting, Split, Variant, split_of
from coresplit.stats.difference import Relation

Rival = Literal["fat", "thin"]
RIVALS: tuple[Rival, ...] = ("fat", "thin")
Verdict = Literal["faster", "too close to call", "fat is fastest", "thin is fastest"]
"""How the fastest compares with fat, or with thin if there is no fat."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one batch; ``fat`` and ``thin`` are None if the profile lacks them.

    ``fastest`` has the lowest predicted latency: a split of cells of the profile, or fat or thin,
    which are interpolated if their batches lie between two of the profile. ``shown`` holds how a
    verification found it to compare with each rival, which overrides the predictions. If the
    fastest takes at most ``limit`` seconds, nothing that takes longer is recommended.
    """

    variant: Variant
    setting: Setting
    cores: int
    batch: int
    fastest: Option
    fat: Option | None
    thin: Option | None
    shown: Map[Rival, Relation] = {}
    limit: float | None = None

    def rival(self, name: Rival) -> Option | None:
        """The configuration of that name."""
        return self.fat if name == "fat" else self.thin

    def is_rival(self, name: Rival) -> bool:
        """True if the fastest is that configuration itself."""
        rival = self.rival(name)
        return rival is not None and rival.split == self.fastest.split

    @property
    def speedups(self) -> dict[Rival, Speedup]:
        """The predicted speedup of the fastest over each existing rival."""
        rivals = {name: rival for name in RIVALS if (rival := self.rival(name)) is not None}
        others = {name: one for name, one in rivals.items() if not self.is_rival(name)}
        found = compared(self.fastest, list(others.values()))
        return dict.fromkeys(rivals, SAME) | dict(zip(others, found, strict=True))

    def speedup(self, name: Rival) -> Speedup | None:
        """The predicted speedup of the fastest over a rival; None without that rival."""
        return self.speedups.get(name)

    def standing(self, name: Rival) -> Relation | None:
        """How the fastest compares with a rival: as a verification decided, else as predicted."""
        found = self.speedup(name)
        return None if found is None else self.shown.get(name, found.relation)

    @property
    def simplest(self) -> Rival | None:
        """Fat, or thin if there is no fat: what to run if nothing else is worth it."""
        return next((name for name in RIVALS if self.rival(name) is not None), None)

    @property
    def verdict(self) -> Verdict | None:
        """How the fastest compares with the simplest; None without one."""
        instead = self._instead
        if instead is None:
            return None if self.simplest is None else "faster"
        if self.is_rival(instead) or self._beaten_by(instead):
            return _FASTEST[instead]
        return "too close to call"

    @property
    def recommended(self) -> Option:
        """What to run: the simplest, unless the fastest is shown to be faster than that."""
        chosen = (self.rival(self._instead) if self._instead else None) or self.fastest
        if self.limit is not None and self.fastest.predicted.value <= self.limit:
            return chosen if chosen.predicted.value <= self.limit else self.fastest
        return chosen

    @property
    def _instead(self) -> Rival | None:
        """The rival to run instead of the fastest (possibly the same); None to run the fastest."""
        beaten = next((name for name in RIVALS if self._beaten_by(name)), None)
        name = beaten or self.simplest
        return None if name is not None and self.standing(name) == "faster" else name

    def _beaten_by(self, name: Rival) -> bool:
        """True if a rival was faster and is worth running: thin only if fat does not tie."""
        if self.standing(name) != "slower":
            return False
        return name == "fat" or self.fat is None or self.standing("fat") == "faster"

    @property
    def configurations(self) -> tuple[tuple[Configuration, Option], ...]:
        """The fastest, as ``split``, and the rivals that differ from it and from each other."""
        named: tuple[tuple[Configuration, Option | None], ...] = (
            ("split", self.fastest),
            ("fat", self.fat),
            ("thin", self.thin),
        )
        found: dict[Split, tuple[Configuration, Option]] = {}
        for name, each in named:
            if each is not None:
                found.setdefault(each.split, (name, each))
        return tuple(found.values())


_FASTEST: dict[Rival, Verdict] = {"fat": "fat is fastest", "thin": "thin is fastest"}


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The plan whose recommendation has the lowest predicted latency, with its profile.

    ``close`` are the plans of other profiles that are not shown to be slower.
    """

    plan: Plan
    profile: Profile
    close: tuple[Plan, ...] = ()


def plan(profile: Profile, cores: int, batch: int) -> Plan | None:
    """The plan for ``batch`` on ``cores``; None if no cells make up the batch."""
    split = next(on_fewer_cores(profile, cores, batch), None)
    fat, thin = _fat(profile, cores, batch), _thin(profile, cores, batch)
    options = [each for each in (split, fat, thin) if each is not None]
    if not options:
        return None
    return Plan(
        variant=profile.variant,
        setting=profile.setting,
        cores=cores,
        batch=batch,
        fastest=min(options, key=_order),
        fat=fat,
        thin=thin,
    )


def best_plan(
    profiles: Iterable[Profile],
    cores: int,
    batch: int,
    settle: Callable[[Plan], Plan] = lambda made: made,
) -> Best | None:
    """The plan with the fastest predicted recommendation of all profiles; None without any.

    ``settle`` adds to a plan what is known besides its predictions.
    """
    found = [
        (settle(made), profile)
        for profile in profiles
        if (made := plan(profile, cores, batch)) is not None
    ]
    if not found:
        return None
    first = min(found, key=lambda pair: pair[0].recommended.predicted.value)
    others = [made for made, _ in found if made is not first[0]]
    faster = compared(first[0].recommended, [made.recommended for made in others])
    close = tuple(
        made for made, each in zip(others, faster, strict=True) if each.relation != "faster"
    )
    return Best(plan=first[0], profile=first[1], close=close)


def front_of(made: Plan, profile: Profile) -> tuple[Option, ...]:
    """The Pareto front of latency against cores: the fastest, then the best on fewer cores."""
    fewer = on_fewer_cores(profile, made.fastest.split.cores - 1, made.batch)
    return made.fastest, *fewer


def on_fewer_cores(profile: Profile, cores: int, batch: int) -> Iterator[Option]:
    """The best splits on at most ``cores`` that are faster than all on fewer, fastest first.

    This is the Pareto front of latency against cores.
    """
    options: Iterable[Option] = _options(profile, cores, batch)
    if profile.alone:
        options = sorted(options, key=_order)
    for each in options:
        if each.split.cores <= cores:
            yield each
            cores = each.split.cores - 1


def fastest_within(profile: Profile, cores: int, limit: float) -> Option | None:
    """The split of any batch with the highest throughput within ``limit`` seconds."""
    found = (
        largest_throughput(profile.latencies(busy), busy, limit)
        for busy in range(cores if not profile.alone else 1, cores + 1)
    )
    options = (option_of(profile, split) for split in found if split)
    within = (one for one in options if one.predicted.value <= limit)
    return max(within, key=lambda one: one.throughput, default=None)


def _options(profile: Profile, cores: int, batch: int) -> Iterator[Option]:
    """The best split on each number of cores, most first; some may not be on the front.

    An instance is faster if fewer other cores are busy, so a packed profile is solved for each
    number of busy cores. Otherwise a split is the best for all numbers of cores from its own to
    those given.
    """
    while split := solve(profile.latencies(cores), cores, batch):
        yield option_of(profile, split)
        cores = cores - 1 if profile.alone else split.cores - 1


def _order(one: Option) -> tuple[float, int, int]:
    return one.predicted.value, one.split.cores, one.split.count


def _fat(profile: Profile, cores: int, batch: int) -> Option | None:
    known = _at(profile.alone or profile.cells, (cores, batch))
    return None if known is None else option_with(profile, split_of([(cores, batch)]), [known])


def _thin(profile: Profile, cores: int, batch: int) -> Option | None:
    """The faster of the best split of profiled one-thread cells and the most even one.

    The batches of the most even one may be interpolated.
    """
    latencies = profile.latencies(cores).items()
    solved = solve({cell: latency for cell, latency in latencies if cell[0] == 1}, cores, batch)
    options = [option_of(profile, solved)] if solved else []
    each, more = divmod(batch, cores)
    even = split_of((1, each + (place < more)) for place in range(min(cores, batch)))
    filled = _with(profile, even)
    options += [option_of(filled, even)] if filled else []
    return min(options, key=_order, default=None)


def _with(profile: Profile, split: Split) -> Profile | None:
    """The profile with the cells of a split, interpolated if needed; None if it lacks them."""
    cells, alone = dict(profile.cells), dict(profile.alone)
    for place in set(split.cells):
        known, single = _at(profile.cells, place), _at(profile.alone, place)
        if known is None:
            return None
        cells[place] = known
        if single is not None:
            alone[place] = single
    return msgspec.structs.replace(profile, cells=cells, alone=alone)


def _at(cells: Points, place: Place) -> ProfilePoint | None:
    return cells.get(place) or interpolated_point(cells, *place)
