"""The profile of a run: latency[t, b] of one optimization, and how far each value is known."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from coresplit.planner.interference import Interference, Pair, calibrate
from coresplit.records import Cell, Estimate, Measurement, Run, Setting
from coresplit.stats.summary import point_of

Doubt = Literal["light", "unstable", "estimated", "scaled", "interpolated"]
"""Why a latency is less sure than a measured one: its verdict, and what was made of it."""

Place = tuple[int, int]
"""Threads and batch of a cell."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A latency in seconds with its interval, and the doubts about it; none if it was measured."""

    low: float
    latency: float
    high: float
    doubts: frozenset[Doubt] = frozenset()

    @property
    def estimate(self) -> Estimate:
        """The same as a record."""
        return Estimate(low=self.low, latency=self.latency, high=self.high)


_Groups = Mapping[Setting, dict[Place, Known]]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies by <threads, batch>; ``like`` names optimization, mapping, allocator, setting.

    The threads and batch of ``like`` mean nothing. Packed ``cells`` are of instances beside which
    copies of them fill ``cores``, as ``neighbours_on`` counts them; then ``alone`` has what
    instances take that have no neighbours, and ``interference`` is what scaled latencies were
    scaled by.
    """

    like: Cell
    cells: Mapping[Place, Known]
    alone: Mapping[Place, Known] = {}
    cores: int = 0
    interference: Interference | None = None

    def among(self, place: Place, busy: int) -> Known:
        """What an instance takes while ``busy`` cores are, its own among them.

        A packed latency is told from the two that were measured: its logarithm runs straight from
        that of an instance alone to that of one among its copies, and on where more cores are
        busy than those copies take. There it runs no further if they made it no slower.
        """
        packed, alone = self.cells[place], self.alone.get(place)
        share = self._share(place, busy)
        if alone is None or share == 1.0:
            return packed
        if share == 0.0:
            return alone
        # beyond the copies, the slower an instance was alone the less did they slow it down
        least, most = (alone.low, alone.high) if share < 1.0 else (alone.high, alone.low)
        return Known(
            low=_blend(least, packed.low, share),
            latency=_blend(alone.latency, packed.latency, share),
            high=_blend(most, packed.high, share),
            doubts=alone.doubts | packed.doubts | {"scaled"},
        )

    def latencies(self, busy: int) -> dict[Place, float]:
        """Seconds of every instance of at most ``busy`` threads while so many cores are busy."""
        return {
            place: _blend(
                self.alone.get(place, packed).latency, packed.latency, self._share(place, busy)
            )
            for place, packed in self.cells.items()
            if place[0] <= busy
        }

    def _share(self, place: Place, busy: int) -> float:
        """Busy neighbours over those that copies would have; 1 where there is room for none."""
        neighbours = neighbours_on(self.cores, place[0])
        return max(0, busy - place[0]) / neighbours if neighbours else 1.0

    @property
    def threads(self) -> tuple[int, ...]:
        """Thread counts there are, ascending."""
        return tuple(sorted({threads for threads, _ in self.cells}))

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes there are, ascending."""
        return tuple(sorted({batch for _, batch in self.cells}))


def copies_on(cores: int, threads: int) -> int:
    """How many instances of ``threads`` fit on ``cores`` at once."""
    return cores // threads


def neighbours_on(cores: int, threads: int) -> int:
    """Cores that copies keep busy beside an instance, or all others where no second one fits.

    Six threads on 16 cores have six busy neighbours: the second copy leaves four cores idle.
    """
    copies = copies_on(cores, threads)
    return (copies - 1) * threads if copies > 1 else max(0, cores - threads)


def cores_of(run: Run) -> int:
    """Cores that a run can speak of: the usable ones, or the most threads of a table."""
    if run.machine is not None:
        return run.machine.usable
    return max(each.cell.threads for each in run.measurements)


def profiles_of(run: Run, setting: Setting | None = None) -> tuple[Profile, ...]:
    """A profile for each optimization, mapping and allocator of a run, in its order.

    ``setting`` None takes packed for all where any packed cell was measured, else isolated. What
    was not measured packed is scaled by the slow-down fitted to its own optimization, or to all
    of the run where that has no packed cell. Profiles without a cell are left out.
    """
    groups: dict[Cell, _Groups] = {}
    for measurement in run.measurements:
        cell, value = measurement.cell, _known(measurement)
        if value is not None:
            like = msgspec.structs.replace(cell, threads=1, batch=1, setting="isolated")
            group = groups.setdefault(like, {"isolated": {}, "packed": {}})
            group[cell.setting][cell.threads, cell.batch] = value
    if setting is None:
        packed = (known for group in groups.values() for known in group["packed"].values())
        setting = "isolated" if all(map(_estimated, packed)) else "packed"
    if setting == "isolated":
        made = [Profile(like=like, cells=group["isolated"]) for like, group in groups.items()]
    else:
        cores = cores_of(run)
        pooled = calibrate(pair for group in groups.values() for pair in _pairs(group, cores))
        made = [_packed(like, group, cores, pooled) for like, group in groups.items()]
    return tuple(profile for profile in made if profile.cells)


def interpolated(profile: Profile, largest: int) -> Profile:
    """Add every batch up to ``largest`` that lies between two profiled ones of its threads."""
    return msgspec.structs.replace(
        profile,
        cells=_filled(profile.cells, largest),
        alone=_filled(profile.alone, largest),
    )


def between(cells: Mapping[Place, Known], threads: int, batch: int) -> Known | None:
    """What a batch between two profiled ones of its threads takes; None elsewhere."""
    for below, above in _gaps(cells, threads):
        if below < batch < above:
            return _mix(cells, threads, (below, above), batch)
    return None


def _filled(cells: Mapping[Place, Known], largest: int) -> dict[Place, Known]:
    filled = dict(cells)
    for threads in {count for count, _ in cells}:
        for below, above in _gaps(cells, threads):
            for batch in range(below + 1, min(above, largest + 1)):
                filled[threads, batch] = _mix(cells, threads, (below, above), batch)
    return filled


def _gaps(cells: Mapping[Place, Known], threads: int) -> Iterator[tuple[int, int]]:
    """Neighbouring batches that were profiled with so many threads."""
    return itertools.pairwise(sorted(batch for count, batch in cells if count == threads))


def _mix(cells: Mapping[Place, Known], threads: int, ends: tuple[int, int], batch: int) -> Known:
    """Latencies run straight between neighbours, as do the bounds of their intervals.

    The cost per input does not change much between them.
    """
    below, above = (cells[threads, end] for end in ends)
    share = (batch - ends[0]) / (ends[1] - ends[0])
    return Known(
        low=below.low + (above.low - below.low) * share,
        latency=below.latency + (above.latency - below.latency) * share,
        high=below.high + (above.high - below.high) * share,
        doubts=below.doubts | above.doubts | {"interpolated"},
    )


def _packed(like: Cell, group: _Groups, cores: int, pooled: Interference | None) -> Profile:
    """Packed cells, and isolated ones scaled where there are none; what was measured comes first.

    Either way a cell is of an instance among its copies. One on all cores has no neighbours, so
    that its isolated cell is its packed one.
    """
    interference = calibrate(_pairs(group, cores)) or pooled
    like = msgspec.structs.replace(like, setting="packed")
    if interference is None and not group["packed"]:
        return Profile(like=like, cells={})
    found = list(group["packed"].items())
    for place, value in group["isolated"].items():
        others = neighbours_on(cores, place[0])
        if not others:
            found.append((place, value))
        elif interference is not None:
            found.append((place, _scaled(value, interference.factor(others, cores))))
    cells: dict[Place, Known] = {}
    for place, value in sorted(found, key=lambda item: _estimated(item[1])):
        cells.setdefault(place, value)
    return Profile(
        like=like,
        cells=dict(sorted(cells.items())),
        alone=group["isolated"],
        cores=cores,
        interference=interference,
    )


def _blend(alone: float, packed: float, share: float) -> float:
    """The weighted geometric mean, exact at both ends; beyond them no gain is carried further."""
    if share in (0.0, 1.0):
        return packed if share else alone
    return packed if share > 1.0 and packed < alone else alone * (packed / alone) ** share


def _estimated(known: Known) -> bool:
    return "estimated" in known.doubts


def _pairs(group: _Groups, cores: int) -> Iterator[Pair]:
    """The cells that were measured both ways."""
    for (threads, batch), together in group["packed"].items():
        alone = group["isolated"].get((threads, batch))
        if alone is not None and not _estimated(alone) and not _estimated(together):
            yield Pair(
                alone=alone.latency,
                together=together.latency,
                others=(copies_on(cores, threads) - 1) * threads,
                cores=cores,
            )


def _known(measurement: Measurement) -> Known | None:
    point = point_of(measurement)
    if point is None:
        return None
    if point.interval == "published range":
        # the range of single passes says nothing of how far the mean is known
        return Known(low=point.latency, latency=point.latency, high=point.latency)
    doubts: frozenset[Doubt] = frozenset()
    if measurement.verdict in ("light", "unstable", "estimated"):
        doubts = frozenset([measurement.verdict])
    return Known(low=point.low, latency=point.latency, high=point.high, doubts=doubts)


def _scaled(known: Known, factor: float) -> Known:
    return Known(
        low=known.low * factor,
        latency=known.latency * factor,
        high=known.high * factor,
        doubts=known.doubts | {"scaled"},
    )
