"""The drawable rows of a run, grouped as the page shows them."""

import math
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from itertools import groupby

import msgspec

from coresplit.records import Cell, Mapping, Measurement, Run, Setting, Verdict
from coresplit.stats.claims import Claims
from coresplit.stats.difference import LEVEL, decide
from coresplit.stats.lossy import lossy_of
from coresplit.stats.summary import Point

DOUBT: dict[Verdict, int] = {"measured": 0, "light": 1, "unstable": 2, "estimated": 3}
"""Verdicts that are drawn, from the most to the least reliable."""

Points = AbstractMapping[Cell, Point]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One drawable cell. Latency in seconds per forward, throughput in inferences per second.

    ``speedup`` is the throughput over that of the fewest threads of its group; None if that cell
    has no value. ``derived`` is a computed value for charts that draw none of the row's own values.
    ``faults`` are page faults per forward, None if they were not counted; ``lossy`` says that its
    optimization may change results.
    """

    cell: Cell
    verdict: Verdict
    reason: str
    point: Point
    speedup: "Speedup | None" = None
    derived: "Derived | None" = None
    faults: float | None = None
    lossy: bool = False

    @property
    def throughput(self) -> float:
        """Inferences per second."""
        return self.cell.batch / self.point.latency

    @property
    def throughput_interval(self) -> tuple[float, float]:
        """Inferences per second at the ends of the latency interval, lower end first."""
        return self.cell.batch / self.point.high, self.cell.batch / self.point.low


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A value computed from cells, with its interval.

    Verdict and reason are those of the least reliable cell.
    """

    value: float
    low: float
    high: float
    verdict: Verdict
    reason: str


class Speedup(Derived, frozen=True, kw_only=True):
    """The throughput on ``threads`` threads over that on ``base`` threads.

    ``superlinear`` says that it is shown to exceed ``linear``. The test corrects for the number of
    all cells, because such a row is picked from among them.
    """

    base: int
    threads: int
    superlinear: bool = False

    @property
    def linear(self) -> float:
        """The speedup of perfectly scaling threads."""
        return self.threads / self.base


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that share mapping, allocator and setting: one set of sections of the page."""

    mapping: Mapping
    allocator: str
    setting: Setting
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Name in headings: ``Sequential``, ``Interleave, tcmalloc``, ``Sequential, packed``."""
        extra = [self.allocator] if self.allocator != "default" else []
        extra += [self.setting] if self.setting != "isolated" else []
        return ", ".join([self.mapping.capitalize(), *extra])

    @property
    def suffix(self) -> str:
        """The suffix of file names; empty for the published default."""
        parts = (
            (self.mapping, "sequential"),
            (self.allocator, "default"),
            (self.setting, "isolated"),
        )
        return "".join(f"-{value}" for value, default in parts if value != default)

    @property
    def threads(self) -> tuple[int, ...]:
        """Thread counts with a value, ascending."""
        return tuple(sorted({row.cell.threads for row in self.rows}))

    @property
    def batches(self) -> tuple[int, ...]:
        """Batches with a value, ascending."""
        return tuple(sorted({row.cell.batch for row in self.rows}))

    def optimizations(self, order: Sequence[str]) -> tuple[str, ...]:
        """Optimizations with a value: those of ``order`` first, then others by name."""
        present = {row.cell.optimization for row in self.rows}
        rest = sorted(present - set(order))
        return tuple(dict.fromkeys([name for name in order if name in present] + rest))


class Undrawn(msgspec.Struct, frozen=True, kw_only=True):
    """A cell without a point, with the reason."""

    cell: Cell
    verdict: Verdict
    reason: str


def ratio_of(row: Row, base: Row, claims: Claims, name: str = "") -> Derived:
    """Throughput of a row over that of another, with its 95 % interval.

    If both were visited side by side, it is the median ratio of those visits, so it may differ
    slightly from the ratio of the two values. ``name`` is what the reason calls ``base`` if the
    doubt comes from there.
    """
    own = row.cell == base.cell
    weaker = max((row, base), key=lambda one: DOUBT[one.verdict])
    of_base = weaker is base and not own and base.reason
    contrast = claims.contrast(row.cell, base.cell)
    low, high = (1.0, 1.0) if own else contrast.bounds
    return Derived(
        value=1.0 if own else contrast.ratio,
        low=low,
        high=high,
        verdict=weaker.verdict,
        reason=f"of {name or base.cell}: {base.reason}" if of_base else weaker.reason,
    )


def groups_of(run: Run, claims: Claims) -> tuple[Group, ...]:
    """The drawable cells of a run in groups: sequential before interleave, defaults first."""
    lossy = lossy_of(run)
    found = (
        _row(item, claims.points, lossy=item.cell.optimization in lossy)
        for item in run.measurements
    )
    rows = [row for row in found if row is not None]
    rows.sort(key=lambda row: (_group_key(row.cell), row.cell))
    groups = []
    for _, members in groupby(rows, key=lambda row: _group_key(row.cell)):
        listed = tuple(members)
        first = listed[0].cell
        groups.append(
            Group(
                mapping=first.mapping,
                allocator=first.allocator,
                setting=first.setting,
                rows=_with_speedup(listed, claims),
            )
        )
    return tuple(groups)


def undrawn_of(run: Run, points: Points) -> tuple[Undrawn, ...]:
    """The cells of a run that are not drawn, sorted."""
    missing = [
        Undrawn(
            cell=item.cell,
            verdict=item.verdict,
            reason=item.reason or "no value was recorded",
        )
        for item in run.measurements
        if _row(item, points) is None
    ]
    return tuple(sorted(missing, key=lambda item: (_group_key(item.cell), item.cell)))


def _group_key(cell: Cell) -> tuple[bool, bool, str, bool]:
    return (
        cell.mapping != "sequential",
        cell.allocator != "default",
        cell.allocator,
        cell.setting != "isolated",
    )


def _row(measurement: Measurement, points: Points, *, lossy: bool = False) -> Row | None:
    if measurement.verdict not in DOUBT:
        return None
    point = points.get(measurement.cell)
    if point is None or not (math.isfinite(point.latency) and point.latency > 0):
        return None
    # An interval that reaches zero cannot be drawn on a log axis and has no inverse.
    low = min(max(point.low, point.latency / 1000), point.latency)
    high = max(point.high, point.latency) if math.isfinite(point.high) else point.latency * 1000
    point = msgspec.structs.replace(point, low=low, high=high)
    return Row(
        cell=measurement.cell,
        verdict=measurement.verdict,
        reason=measurement.reason,
        point=point,
        faults=_faults(measurement),
        lossy=lossy,
    )


def _faults(measurement: Measurement) -> float | None:
    seen = measurement.evidence
    return seen.minor_faults / seen.forwards if seen and seen.forwards else None


def _with_speedup(rows: tuple[Row, ...], claims: Claims) -> tuple[Row, ...]:
    base = min(row.cell.threads for row in rows)
    bases = {
        (row.cell.optimization, row.cell.batch): row for row in rows if row.cell.threads == base
    }
    return tuple(
        msgspec.structs.replace(
            row, speedup=_speedup(row, bases.get((row.cell.optimization, row.cell.batch)), claims)
        )
        for row in rows
    )


def _speedup(row: Row, base: Row | None, claims: Claims) -> Speedup | None:
    if base is None:
        return None
    ratio = ratio_of(row, base, claims, f"t={base.cell.threads}")
    threads, fewest = row.cell.threads, base.cell.threads
    gain = claims.contrast(row.cell, base.cell)
    excess = msgspec.structs.replace(gain, log=gain.log - math.log(threads / fewest))
    shown = decide([excess], LEVEL / len(claims.points))[0] == "faster"
    return Speedup(**msgspec.structs.asdict(ratio), base=fewest, threads=threads, superlinear=shown)
