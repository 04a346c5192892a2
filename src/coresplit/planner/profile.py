"""The profile of a run: latency[t, b] of one optimization, and the uncertainty of each value."""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from coresplit.planner.interference import (
    Interference,
    Pair,
    calibrate,
    copies_on,
    neighbours_on,
    scaling_errors,
)
from coresplit.planner.spread import (
    Part,
    Spread,
    interpolating_errors,
    joined,
    part_of,
    straight,
    visit_part,
)
from coresplit.records import Measurement, Run, Setting, Variant
from coresplit.stats.fitting import variance_of
from coresplit.stats.summary import point_of
from coresplit.stats.variance import Variance

Doubt = Literal["light", "unstable", "estimated", "scaled", "interpolated", "mixed"]
"""Why a latency is less certain than a measured one: its verdict, or how it was derived.

``mixed`` is a split of different instances: each is predicted as if it ran next to its own copies.
"""

Place = tuple[int, int]
"""Threads and batch of a cell."""


class ProfilePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A latency in seconds, the standard error of its log, and the doubts about it.

    ``error`` has ``df`` degrees of freedom; a measured latency has no doubts.
    """

    latency: float
    error: float = 0.0
    df: float = math.inf
    doubts: frozenset[Doubt] = frozenset()

    def part(self, weight: float = 1.0) -> Part:
        """Its contribution to the error of a sum in which its log has this weight."""
        return Part(variance=(weight * self.error) ** 2, df=self.df)


Points = Mapping[Place, ProfilePoint]
_Groups = Mapping[Setting, dict[Place, ProfilePoint]]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies by <threads, batch> of one variant in one setting.

    Packed ``cells`` are of instances whose copies fill the rest of ``cores``, as ``neighbours_on``
    counts them. Then ``alone`` has the latencies of instances without neighbours, and
    ``interference`` is the slow-down that was applied to scaled latencies. ``spread`` is the error
    of predictions besides the errors of the cells.
    """

    variant: Variant
    setting: Setting = "isolated"
    cells: Points
    alone: Points = {}
    cores: int = 0
    interference: Interference | None = None
    spread: Spread = Spread()

    def latency_at(self, place: Place, busy: int) -> ProfilePoint:
        """The latency of an instance while ``busy`` cores are busy, including its own.

        The log of a packed latency is interpolated between the two measured ones, alone and among
        copies. It is extrapolated if more cores are busy than the copies take, unless the copies
        did not make it slower.
        """
        packed, alone = self.cells[place], self.alone.get(place)
        share = self._share(place, busy)
        if alone is None or share == 1.0:
            return packed
        if share == 0.0:
            return alone
        latency = _blend(alone.latency, packed.latency, share)
        return _derived(latency, [(alone, 1 - share), (packed, share)], "scaled")

    def latencies(self, busy: int) -> dict[Place, float]:
        """Seconds of every instance of at most ``busy`` threads while ``busy`` cores are busy."""
        return {
            place: _blend(
                self.alone.get(place, packed).latency, packed.latency, self._share(place, busy)
            )
            for place, packed in self.cells.items()
            if place[0] <= busy
        }

    def _share(self, place: Place, busy: int) -> float:
        """Busy neighbours over those of a full set of copies; 1 if there is no room for any."""
        neighbours = neighbours_on(self.cores, place[0])
        return max(0, busy - place[0]) / neighbours if neighbours else 1.0

    @property
    def threads(self) -> tuple[int, ...]:
        """The thread counts, ascending."""
        return tuple(sorted({threads for threads, _ in self.cells}))

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes, ascending."""
        return tuple(sorted({batch for _, batch in self.cells}))


def cores_of(run: Run) -> int:
    """Cores that a run covers: the usable ones, or the most threads of an imported table."""
    if run.machine is not None:
        return run.machine.usable
    return max(run.settings.cores, *(each.cell.threads for each in run.measurements), 1)


def profiles_of(
    run: Run, setting: Setting | None = None, variance: Variance | None = None
) -> tuple[Profile, ...]:
    """A profile for each optimization, mapping and allocator of a run, in its order.

    ``setting`` None means packed if any packed cell was measured, else isolated. Cells that were
    not measured packed are scaled by the slow-down fitted to their own variant, or to all of the
    run if that has no packed cell. Profiles without cells are left out. ``variance`` is that of
    the run, if already known.
    """
    variance = variance or variance_of(run)
    groups: dict[Variant, _Groups] = {}
    for measurement in run.measurements:
        cell, value = measurement.cell, _known(measurement, variance)
        if value is not None:
            group = groups.setdefault(cell.variant, {"isolated": {}, "packed": {}})
            group[cell.setting][cell.threads, cell.batch] = value
    if not groups:
        return ()
    if setting is None:
        packed = (known for group in groups.values() for known in group["packed"].values())
        setting = "isolated" if all(map(_estimated, packed)) else "packed"
    cores = cores_of(run)
    pairs = {variant: list(_pairs(group, cores)) for variant, group in groups.items()}
    spread = Spread(
        visit=visit_part(variance),
        between=part_of(list(interpolating_errors(_curves(groups.values())))),
        scaled=part_of(list(scaling_errors(list(pairs.values())))),
    )
    if setting == "isolated":
        made = [Profile(variant=one, cells=group["isolated"]) for one, group in groups.items()]
    else:
        pooled = calibrate(pair for each in pairs.values() for pair in each)
        made = [
            _packed(variant, group, cores, calibrate(pairs[variant]) or pooled)
            for variant, group in groups.items()
        ]
    return tuple(msgspec.structs.replace(one, spread=spread) for one in made if one.cells)


def interpolated(profile: Profile, largest: int) -> Profile:
    """Add every batch up to ``largest`` between two profiled ones of the same threads."""
    return msgspec.structs.replace(
        profile, cells=_filled(profile.cells, largest), alone=_filled(profile.alone, largest)
    )


def interpolated_point(cells: Points, threads: int, batch: int) -> ProfilePoint | None:
    """The latency of a batch between two profiled ones of the same threads; None elsewhere."""
    for below, above in _gaps(cells, threads):
        if below < batch < above:
            return _mix(cells, threads, (below, above), batch)
    return None


def _filled(cells: Points, largest: int) -> dict[Place, ProfilePoint]:
    filled = dict(cells)
    for threads in {count for count, _ in cells}:
        for below, above in _gaps(cells, threads):
            for batch in range(below + 1, min(above, largest + 1)):
                filled[threads, batch] = _mix(cells, threads, (below, above), batch)
    return filled


def _gaps(cells: Points, threads: int) -> Iterator[tuple[int, int]]:
    """Pairs of neighbouring batches that were profiled with ``threads`` threads."""
    return itertools.pairwise(sorted(batch for count, batch in cells if count == threads))


def _mix(cells: Points, threads: int, ends: tuple[int, int], batch: int) -> ProfilePoint:
    """Interpolate latencies linearly between two batches; errors get the same weights."""
    below, above = (cells[threads, end] for end in ends)
    latency = straight(ends, (below.latency, above.latency), batch)
    share = (batch - ends[0]) / (ends[1] - ends[0])
    weights = (1 - share) * below.latency / latency, share * above.latency / latency
    return _derived(latency, list(zip((below, above), weights, strict=True)), "interpolated")


def _derived(
    latency: float, sources: Collection[tuple[ProfilePoint, float]], doubt: Doubt
) -> ProfilePoint:
    """A latency derived from others; the weights apply to the errors of their logs."""
    error = joined([known.part(weight) for known, weight in sources])
    doubts = frozenset[Doubt]().union(*(known.doubts for known, _ in sources))
    return ProfilePoint(
        latency=latency, error=math.sqrt(error.variance), df=error.df, doubts=doubts | {doubt}
    )


def _packed(
    variant: Variant, group: _Groups, cores: int, interference: Interference | None
) -> Profile:
    """Packed cells, else scaled isolated ones; measured values take precedence over estimates.

    Either way a cell is of an instance among its copies. An instance on all cores has no
    neighbours, so its isolated cell is also its packed one.
    """
    if interference is None and not group["packed"]:
        return Profile(variant=variant, setting="packed", cells={})
    found = list(group["packed"].items())
    for place, value in group["isolated"].items():
        others = neighbours_on(cores, place[0])
        if not others:
            found.append((place, value))
        elif interference is not None:
            found.append((place, _scaled(value, interference.factor(others, cores))))
    cells: dict[Place, ProfilePoint] = {}
    for place, value in sorted(found, key=lambda item: _estimated(item[1])):
        cells.setdefault(place, value)
    return Profile(
        variant=variant,
        setting="packed",
        cells=dict(sorted(cells.items())),
        alone=group["isolated"],
        cores=cores,
        interference=interference,
    )


def _blend(alone: float, packed: float, share: float) -> float:
    """The weighted geometric mean, exact at both ends; a gain is not extrapolated."""
    if share in (0.0, 1.0):
        return packed if share else alone
    return packed if share > 1.0 and packed < alone else alone * (packed / alone) ** share


def _estimated(known: ProfilePoint) -> bool:
    return "estimated" in known.doubts


def _pairs(group: _Groups, cores: int) -> Iterator[Pair]:
    """The cells that were measured both isolated and packed."""
    for (threads, batch), together in group["packed"].items():
        alone = group["isolated"].get((threads, batch))
        if alone is not None and not _estimated(alone) and not _estimated(together):
            yield Pair(
                alone=alone.latency,
                together=together.latency,
                others=(copies_on(cores, threads) - 1) * threads,
                cores=cores,
            )


def _curves(groups: Iterable[_Groups]) -> Iterator[dict[int, float]]:
    """The measured latencies of each number of threads by batch."""
    for group in groups:
        for cells in group.values():
            for threads in {count for count, _ in cells}:
                yield {
                    batch: known.latency
                    for (count, batch), known in cells.items()
                    if count == threads and not _estimated(known)
                }


def _known(measurement: Measurement, variance: Variance) -> ProfilePoint | None:
    point = point_of(measurement, variance)
    if point is None:
        return None
    doubts: frozenset[Doubt] = frozenset()
    if measurement.verdict in ("light", "unstable", "estimated"):
        doubts = frozenset([measurement.verdict])
    where = point.location
    return ProfilePoint(latency=point.latency, error=where.error, df=where.df, doubts=doubts)


def _scaled(known: ProfilePoint, factor: float) -> ProfilePoint:
    return msgspec.structs.replace(
        known, latency=known.latency * factor, doubts=known.doubts | {"scaled"}
    )
