"""The table of points that all charts share, so that a page holds each value once."""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.rows import Group, Row, ratio_of
from coresplit.analysis.significance import BASELINE, relation
from coresplit.charts.parts import short
from coresplit.stats.claims import Claims

COLUMNS = (
    "o", "t", "b", "ms", "lo", "hi", "th", "tl", "tu", "sp", "sl", "su", "v", "sv", "r", "n",
    "iv", "rt", "rb", "sr", "g", "gk",
)  # fmt: skip
"""o optimization, t threads, b batch; ms lo hi latency and interval in milliseconds; th tl tu
throughput per second; sp sl su speedup; v verdict and r reason, sv and sr those of the speedup;
n samples, iv what the interval is; rt, rb number of the unbroken stretch along threads and along
batches; g throughput over that of the baseline at the same place, gk how the two compare."""

Value = str | float | int | None


class ChartPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Points of all groups; ``index`` maps the text of a cell to the index of its point."""

    points: tuple[tuple[Value, ...], ...]
    index: dict[str, int]

    def records(self, rows: Sequence[int]) -> list[dict[str, Value]]:
        """Some points as records for Vega-Lite."""
        return [dict(zip(COLUMNS, self.points[row], strict=True)) for row in rows]


def derived_records(rows: Sequence[Row], batches: Sequence[int]) -> list[dict[str, Value]]:
    """Points of a chart over ``batches`` that draws the derived values of rows.

    ``y``, ``yl``, ``yu`` are the value and its interval, ``yv`` and ``yr`` verdict and reason.
    """
    along = _stretches(rows, batches, by_threads=False)
    return [
        {
            "o": row.cell.optimization,
            "t": row.cell.threads,
            "b": row.cell.batch,
            "y": short(row.derived.value),
            "yl": short(row.derived.low),
            "yu": short(row.derived.high),
            "yv": row.derived.verdict,
            "yr": row.derived.reason,
            "n": row.point.samples,
            "rb": along[str(row.cell)],
        }
        for row in rows
        if row.derived
    ]


def pair_records(pairs: Sequence[tuple[Row, Row]], claims: Claims) -> list[dict[str, Value]]:
    """Points of a map of rows against rivals, each with its own ``g`` and ``gk``."""
    records: list[dict[str, Value]] = []
    for row, rival in pairs:
        ratio, kind = _gain(row, rival, claims)
        firm = ratio_of(row, rival, claims)
        cell = row.cell
        point: dict[str, Value] = {"o": cell.optimization, "t": cell.threads, "b": cell.batch}
        told = {"th": short(row.throughput), "v": firm.verdict, "r": firm.reason}
        records.append({**point, **told, "g": ratio, "gk": kind})
    return records


def chart_points_of(groups: Sequence[Group], claims: Claims, base: str = BASELINE) -> ChartPoints:
    """Every point of the groups, numbered in their order."""
    points: list[tuple[Value, ...]] = []
    index: dict[str, int] = {}
    for group in groups:
        along_threads = _stretches(group.rows, group.threads, by_threads=True)
        along_batches = _stretches(group.rows, group.batches, by_threads=False)
        plain = {
            (row.cell.threads, row.cell.batch): row
            for row in group.rows
            if row.cell.optimization == base
        }
        for row in group.rows:
            name = str(row.cell)
            index[name] = len(points)
            rival = plain.get((row.cell.threads, row.cell.batch))
            gain = _gain(row, rival, claims)
            points.append(_point(row, along_threads[name], along_batches[name]) + gain)
    return ChartPoints(points=tuple(points), index=index)


def _point(row: Row, thread_stretch: int, batch_stretch: int) -> tuple[Value, ...]:
    point, cell, speedup = row.point, row.cell, row.speedup
    low, high = row.throughput_interval
    return (
        cell.optimization, cell.threads, cell.batch,
        short(point.latency * 1e3), short(point.low * 1e3), short(point.high * 1e3),
        short(row.throughput), short(low), short(high),
        short(speedup.value) if speedup else None,
        short(speedup.low) if speedup else None,
        short(speedup.high) if speedup else None,
        row.verdict, speedup.verdict if speedup else None, row.reason,
        point.samples, point.interval, thread_stretch, batch_stretch,
        speedup.reason if speedup else None,
    )  # fmt: skip


def _gain(row: Row, rival: Row | None, claims: Claims) -> tuple[Value, Value]:
    if rival is None:
        return None, None
    ratio = ratio_of(row, rival, claims)
    return short(ratio.value), relation(row, rival, claims)


def _stretches(rows: Sequence[Row], axis: Sequence[int], *, by_threads: bool) -> dict[str, int]:
    """Number the stretches of consecutive cells along ``axis``."""
    rank = {value: place for place, value in enumerate(axis)}

    def key(row: Row) -> tuple[str, int, int]:
        cell = row.cell
        if by_threads:
            return cell.optimization, cell.batch, rank[cell.threads]
        return cell.optimization, cell.threads, rank[cell.batch]

    numbers: dict[str, int] = {}
    before: tuple[str, int, int] | None = None
    number = 0
    for row in sorted(rows, key=key):
        now = key(row)
        follows = before is not None and before[:2] == now[:2] and before[2] + 1 == now[2]
        number += 0 if follows else 1
        numbers[str(row.cell)] = number
        before = now
    return numbers
