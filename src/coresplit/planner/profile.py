"""The profile of a run: latency[t, b] of one optimization, and how far each value is known."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from coresplit.planner.interference import Interference, Pair, calibrate
from coresplit.records import Cell, Estimate, Measurement, Run, Setting
from coresplit.stats.summary import point_of

Source = Literal["measured", "light", "unstable", "estimated", "scaled", "interpolated"]
"""Where a latency comes from: a verdict, a scaled isolated one, or between two batches."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A latency in seconds with its interval, and where it comes from."""

    low: float
    latency: float
    high: float
    source: Source = "measured"

    @property
    def estimate(self) -> Estimate:
        """The same as a record."""
        return Estimate(low=self.low, latency=self.latency, high=self.high)


_Groups = Mapping[Setting, dict[tuple[int, int], Known]]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies by <threads, batch>; ``like`` names optimization, mapping, allocator, setting.

    The threads and batch of ``like`` mean nothing. ``interference`` is what scaled latencies
    were scaled by.
    """

    like: Cell
    cells: Mapping[tuple[int, int], Known]
    interference: Interference | None = None

    @property
    def latencies(self) -> dict[tuple[int, int], float]:
        """Seconds of every cell."""
        return {cell: known.latency for cell, known in self.cells.items()}

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
        setting = "packed" if any(group["packed"] for group in groups.values()) else "isolated"
    if setting == "isolated":
        made = [Profile(like=like, cells=group["isolated"]) for like, group in groups.items()]
    else:
        cores = cores_of(run)
        pooled = calibrate(pair for group in groups.values() for pair in _pairs(group, cores))
        made = [_packed(like, group, cores, pooled) for like, group in groups.items()]
    return tuple(profile for profile in made if profile.cells)


def interpolated(profile: Profile, largest: int) -> Profile:
    """Add every batch up to ``largest`` that lies between two profiled ones of its threads."""
    cells = dict(profile.cells)
    for threads in profile.threads:
        for below, above in _gaps(profile, threads):
            for batch in range(below + 1, min(above, largest + 1)):
                cells[threads, batch] = _mix(profile, threads, (below, above), batch)
    return msgspec.structs.replace(profile, cells=cells)


def between(profile: Profile, threads: int, batch: int) -> Known | None:
    """What a batch between two profiled ones of its threads takes; None elsewhere."""
    for below, above in _gaps(profile, threads):
        if below < batch < above:
            return _mix(profile, threads, (below, above), batch)
    return None


def _gaps(profile: Profile, threads: int) -> Iterator[tuple[int, int]]:
    """Neighbouring batches that were profiled with so many threads."""
    return itertools.pairwise(sorted(batch for count, batch in profile.cells if count == threads))


def _mix(profile: Profile, threads: int, ends: tuple[int, int], batch: int) -> Known:
    """Latencies run straight between neighbours, as do the bounds of their intervals.

    The cost per input does not change much between them.
    """
    below, above = (profile.cells[threads, end] for end in ends)
    share = (batch - ends[0]) / (ends[1] - ends[0])
    return Known(
        low=below.low + (above.low - below.low) * share,
        latency=below.latency + (above.latency - below.latency) * share,
        high=below.high + (above.high - below.high) * share,
        source="interpolated",
    )


def _packed(like: Cell, group: _Groups, cores: int, pooled: Interference | None) -> Profile:
    """Packed cells, and isolated ones scaled where they are not alone by nature; none without."""
    interference = calibrate(_pairs(group, cores)) or pooled
    like = msgspec.structs.replace(like, setting="packed")
    if interference is None:
        return Profile(like=like, cells=group["packed"])
    cells = dict(group["packed"])
    for place, value in group["isolated"].items():
        others = _others(place[0], cores)
        # alone is all that an instance can be which leaves no room for another
        scaled = _scaled(value, interference.factor(others, cores)) if others else value
        cells.setdefault(place, scaled)
    return Profile(like=like, cells=dict(sorted(cells.items())), interference=interference)


def _others(threads: int, cores: int) -> int:
    """Cores that the other copies keep busy when as many as fit run at once."""
    return (copies_on(cores, threads) - 1) * threads


def _pairs(group: _Groups, cores: int) -> Iterator[Pair]:
    for place, together in group["packed"].items():
        alone = group["isolated"].get(place)
        if alone is not None:
            yield Pair(
                alone=alone.latency,
                together=together.latency,
                others=_others(place[0], cores),
                cores=cores,
            )


def _known(measurement: Measurement) -> Known | None:
    point = point_of(measurement)
    if point is None:
        return None
    if point.interval == "published range":
        # the range of single passes says nothing of how far the mean is known
        return Known(low=point.latency, latency=point.latency, high=point.latency)
    source: Source = "measured"
    if measurement.verdict in ("light", "unstable", "estimated"):
        source = measurement.verdict
    return Known(low=point.low, latency=point.latency, high=point.high, source=source)


def _scaled(known: Known, factor: float) -> Known:
    return Known(
        low=known.low * factor,
        latency=known.latency * factor,
        high=known.high * factor,
        source="scaled",
    )
