"""Estimate latencies of cells that were not measured from those that were.

The cost per input of a curve (one optimization, threads, mapping, allocator, setting) changes
with the batch in steps that the curves of one run share: caches overflow and allocations grow
past the threshold of the allocator at the same batch. So a curve is continued from its own
largest measured batch by the mean step of the curves that go further. If none does, the last
step is continued at half its size each time (damped trend, Gardner & McKenzie, Management
Science 31(10), 1985), or not at all once the page faults per input have stopped growing: the
allocator then maps every large tensor again for each forward and the cost per input is flat.

Intervals come from the errors of the same method on the measured cells, predicting each from
the smaller batches of its curve (leave one out): the 90th percentile, times a safety factor.
"""

import math
import statistics
from collections import abc
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from coresplit.format import format_share
from coresplit.records import Cell, Interval, Measurement, Setting, Variant
from coresplit.stats.student import quantile
from coresplit.stats.summary import point_of
from coresplit.stats.variance import ASSUMED, CONFIDENCE, Variance

DAMPING = 0.5
FAULTS_SETTLED = 0.05
FLOOR = 0.03
SAFETY = 1.5
QUANTILE = 0.9
UNKNOWN_STEP = 0.15
UNREFERENCED = 0.05
FAR = 4
LARGE_HALF = 4
HUGE_TENSOR = 2**31
HUGE_FACTOR = 2.0

Curve = tuple[Variant, int, Setting]
PastError = tuple[int, float]


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A measured cell: its latency in seconds and minor page faults per input, if counted.

    ``reach`` is half of the 95 % interval of its log latency.
    """

    latency: float
    faults: float | None = None
    reach: float = 0.0


Table = abc.Mapping[Curve, abc.Mapping[int, CurvePoint]]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate and the sentence that says where it comes from."""

    estimate: Interval
    reason: str


def curve_of(cell: Cell) -> Curve:
    """The curve over batches that a cell lies on."""
    return (cell.variant, cell.threads, cell.setting)


def table_of(
    measurements: Iterable[Measurement], variance: Variance = ASSUMED
) -> dict[Curve, dict[int, CurvePoint]]:
    """The measured cells by curve and batch; estimates and invalid cells are left out."""
    table: dict[Curve, dict[int, CurvePoint]] = {}
    for measurement in measurements:
        point = point_of(measurement, variance)
        if point is None or measurement.estimate is not None:
            continue
        cell, evidence = measurement.cell, measurement.evidence
        faults = None
        if evidence is not None and evidence.forwards:
            faults = evidence.minor_faults / evidence.forwards / cell.batch
        known = CurvePoint(latency=point.latency, faults=faults, reach=point.location.halfwidth)
        table.setdefault(curve_of(cell), {})[cell.batch] = known
    return table


def predict(cell: Cell, table: Table) -> float | None:
    """Expected latency of a cell in seconds; None if its curve has no measured cell."""
    own = table.get(curve_of(cell), {})
    if not own:
        return None
    below = [batch for batch in own if batch <= cell.batch]
    if not below:
        base = min(own)
        growth = _reference(curve_of(cell), cell.batch, base, table)
        return own[base].latency * cell.batch / base * math.exp(-growth)
    base = max(below)
    above = [batch for batch in own if batch > cell.batch]
    if above:
        return _between(own, base, min(above), cell.batch)
    growth = _growth(curve_of(cell), base, cell.batch, table)
    return own[base].latency * cell.batch / base * math.exp(growth)


def estimate(
    cell: Cell,
    table: Table,
    errors: Sequence[PastError],
    variance: Variance,
    largest_tensor: int = 0,
) -> Prediction | None:
    """Estimate a cell with an interval and a reason; None if its curve has no measured cell.

    ``errors`` are the ``past_errors`` of the table, ``variance`` is that of the run
    and ``largest_tensor`` the bytes per input of the model's largest activation.
    """
    latency = predict(cell, table)
    if latency is None:
        return None
    own = table[curve_of(cell)]
    base = max((batch for batch in own if batch <= cell.batch), default=min(own))
    error = math.hypot(_expected_error(cell, base, table, errors), own[base].reach)
    error = max(error, _reach_of_visit(variance), FLOOR)
    low, high = math.exp(-error), math.exp(error)
    reason = f"from batch {base} of the same threads, within {_within(error)}"
    reached = max(_batches(table))
    if cell.batch > FAR * reached:
        high *= (cell.batch / FAR / reached) ** 0.5
        reason += f"; over {FAR}x the largest measured batch ({reached})"
    crossing = base * largest_tensor < HUGE_TENSOR <= cell.batch * largest_tensor
    if crossing and reached * largest_tensor < HUGE_TENSOR:
        high *= HUGE_FACTOR
        reason += "; its largest tensor passes 2 GiB, where kernels may fall back to slow ones"
    bounds = Interval(low=latency * low, value=latency, high=latency * high)
    return Prediction(estimate=bounds, reason=reason)


def _reach_of_visit(variance: Variance) -> float:
    """How far a visit of one forward may lie from the cell's value: later visits vary too."""
    sd = math.sqrt(variance.alone.factor * variance.of_visit(1))
    return sd * quantile(CONFIDENCE, variance.alone.df)


def _within(error: float) -> str:
    if error > math.log(2):
        return f"a factor of {math.exp(error):.2g}"
    return format_share(math.expm1(error))


def past_errors(table: Table) -> list[PastError]:
    """(doublings ahead, log error) of predicting measured cells from smaller batches.

    Only for the upper half of the batches, which behave like the larger, unmeasured ones.
    """
    table = _large_half(table)
    errors = []
    for curve, own in table.items():
        batches = sorted(own)
        for end, base in enumerate(batches[:-1], start=1):
            kept = {**table, curve: {batch: own[batch] for batch in batches[:end]}}
            for batch in batches[end:]:
                latency = predict(_cell(curve, batch), kept)
                if latency is not None:
                    error = math.log(latency / own[batch].latency)
                    errors.append((_doublings(base, batch), error))
    return errors


def _expected_error(cell: Cell, base: int, table: Table, errors: Sequence[PastError]) -> float:
    """Log half-width: the 90th percentile of past errors up to this distance, plus a margin.

    A percentile and not the maximum, so that one disturbed cell does not spoil all estimates.
    """
    if cell.batch < base:
        return _error_below(cell, base, table, errors)
    distance = _doublings(base, cell.batch)
    near = [(ahead, abs(error)) for ahead, error in errors if ahead <= distance]
    sizes = sorted(error for _, error in near) or [UNKNOWN_STEP]
    usual = sizes[math.ceil(QUANTILE * len(sizes)) - 1]
    reach = max(1.0, distance / max((ahead for ahead, _ in near), default=1))
    unreferenced = _unreferenced(curve_of(cell), base, cell.batch, table)
    return SAFETY * usual * reach + UNREFERENCED * unreferenced


def _error_below(cell: Cell, base: int, table: Table, errors: Sequence[PastError]) -> float:
    """Log half-width for a batch smaller than all measured ones of its curve.

    How the cost per input changes down there is unknown unless other curves show it.
    """
    distance = _doublings(cell.batch, base)
    usual = max((abs(error) for ahead, error in errors if ahead <= distance), default=UNKNOWN_STEP)
    grid = sorted({b for b in _batches(table) if cell.batch < b < base} | {cell.batch, base})
    unknown = sum(
        _doublings(start, end)
        for start, end in pairwise(grid)
        if not _steps(curve_of(cell), start, end, table)
    )
    return SAFETY * usual + UNKNOWN_STEP * unknown


def _large_half(table: Table) -> dict[Curve, dict[int, CurvePoint]]:
    batches = sorted(_batches(table))
    if len(batches) <= LARGE_HALF:
        return {curve: dict(own) for curve, own in table.items()}
    start = batches[min(len(batches) // 2, len(batches) - LARGE_HALF)]
    return {
        curve: {batch: known for batch, known in own.items() if batch >= start}
        for curve, own in table.items()
    }


def _growth(curve: Curve, base: int, batch: int, table: Table) -> float:
    """Log growth of the cost per input from batch ``base`` to ``batch`` on this curve."""
    grid = sorted({b for b in _batches(table) if base < b < batch} | {base, batch})
    total, trend = 0.0, _last_step(table[curve], base)
    for start, end in pairwise(grid):
        steps = _steps(curve, start, end, table)
        if steps:
            trend = statistics.fmean(steps)
            total += trend
        else:
            doublings = _doublings(start, end)
            for _ in range(max(1, doublings)):
                trend *= DAMPING
                total += trend
    return total


def _reference(curve: Curve, start: int, end: int, table: Table) -> float:
    """Log growth of the cost per input between two batches, as far as other curves show it."""
    grid = sorted({b for b in _batches(table) if start < b < end} | {start, end})
    steps = (_steps(curve, low, high, table) for low, high in pairwise(grid))
    return sum(statistics.fmean(each) for each in steps if each)


def _last_step(own: abc.Mapping[int, CurvePoint], base: int) -> float:
    """Log growth per doubling at the end of a curve; zero once page faults have settled."""
    before = max((batch for batch in own if batch < base), default=None)
    if before is None:
        return 0.0
    here, there = own[base], own[before]
    if here.faults is not None and there.faults is not None and there.faults > 0:
        settled = here.faults / there.faults - 1 < FAULTS_SETTLED
        if settled:
            return 0.0
    step = math.log(here.latency / base) - math.log(there.latency / before)
    # a falling cost per input is a fixed cost shared by more inputs; it does not keep falling
    return max(0.0, step / max(1, _doublings(before, base)))


def _steps(curve: Curve, start: int, end: int, table: Table) -> list[float]:
    """Log growth of the cost per input between two batches, on each curve that has both."""
    found = []
    for other, own in table.items():
        if other != curve and start in own and end in own:
            ratio = own[end].latency / own[start].latency * start / end
            found.append(math.log(ratio))
    return found


def _unreferenced(curve: Curve, base: int, batch: int, table: Table) -> int:
    """Doublings up to ``batch`` that no other curve has measured."""
    reached = max(
        (max(own) for other, own in table.items() if own and other != curve), default=base
    )
    return max(0, _doublings(max(base, reached), batch))


def _between(own: abc.Mapping[int, CurvePoint], low: int, high: int, batch: int) -> float:
    share = math.log(batch / low) / math.log(high / low)
    return math.exp((1 - share) * math.log(own[low].latency) + share * math.log(own[high].latency))


def _batches(table: Table) -> set[int]:
    return {batch for own in table.values() for batch in own}


def _doublings(start: int, end: int) -> int:
    return max(0, round(math.log2(end / start)))


def _cell(curve: Curve, batch: int) -> Cell:
    variant, threads, setting = curve
    return Cell(
        optimization=variant.optimization,
        threads=threads,
        batch=batch,
        mapping=variant.mapping,
        allocator=variant.allocator,
        setting=setting,
    )
