"""Axes and label positions, computed in pixels so that page and picture agree; pure."""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

LOG_SPAN = {"latency": 10.0, "throughput": 100.0, "ratio": 4.0}
"""Data that span at least this factor get a logarithmic axis. Throughput keeps a linear axis from
zero for longer, so that twice as high is twice as much. Ratios are read from one, up and down."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """An axis: its domain in data units, its length in pixels, and the values that are labelled."""

    low: float
    high: float
    log: bool
    length: float
    ticks: tuple[float, ...]

    def pixel(self, value: float) -> float:
        """Distance in pixels from the low end of the axis."""
        if self.log:
            return self.length * math.log(value / self.low) / math.log(self.high / self.low)
        return self.length * (value - self.low) / (self.high - self.low)


def log_scale(low: float, high: float, length: float) -> Scale:
    """A logarithmic scale for positive values, with a little room around them."""
    low, high = low / 1.15, high * 1.15
    return Scale(low=low, high=high, log=True, length=length, ticks=log_ticks(low, high))


def zero_scale(high: float, length: float) -> Scale:
    """A linear scale from zero to ``high``, labelled at round steps."""
    step = round_step(high / 5)
    ticks = tuple(round(step * i, 12) for i in range(int(high / step + 1e-9) + 1))
    return Scale(low=0.0, high=high, log=False, length=length, ticks=ticks)


def span_scale(low: float, high: float, length: float) -> Scale:
    """A linear scale over an interval that need not contain zero, with a little room around it."""
    room = (high - low) * 0.06 or high * 0.1
    low, high = low - room, high + room
    step = round_step((high - low) / 5)
    first = math.ceil(low / step - 1e-9)
    ticks = tuple(round(step * i, 12) for i in range(first, math.floor(high / step + 1e-9) + 1))
    return Scale(low=low, high=high, log=False, length=length, ticks=ticks)


def count_scale(values: Sequence[int], length: float, *, log: bool | None = None) -> Scale:
    """A scale for counts such as threads or batches, labelled only at counts that occur.

    Logarithmic if the counts grow by factors, unless ``log`` is given.
    """
    first, last = values[0], values[-1]
    if log is None:
        log = grows_by_factors(values)
    if log:
        pad = (last / first) ** 0.025 if last > first else 2.0
        low, high = first / pad, last * pad
    else:
        room = (last - first) * (0.12 if len(values) <= 4 else 0.03) or 0.5
        low, high = first - room, last + room
    scale = Scale(low=low, high=high, log=log, length=length, ticks=())
    return msgspec.structs.replace(scale, ticks=_count_ticks(values, scale))


def grows_by_factors(values: Sequence[int]) -> bool:
    """True if counts are better spaced by ratio: a wide span with most integers missing."""
    return values[-1] >= 8 * values[0] and len(values) * 2 < values[-1] - values[0] + 1


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Labelled values of a log axis: 1, 2, 5 per decade, fewer if there are many decades."""
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades <= 2.6 else (1, 3) if decades <= 4.5 else (1,)
    ticks = [
        step * 10.0**exponent
        for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in steps
    ]
    inside = tuple(float(f"{tick:.6g}") for tick in ticks if low <= tick <= high)
    # A narrow axis may contain fewer than two such values: label both ends instead.
    return inside if len(inside) > 1 else (float(f"{low * 1.05:.3g}"), float(f"{high / 1.05:.3g}"))


def round_step(raw: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least ``raw``."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next((step * power for step in (1, 2, 2.5, 5) if step * power >= raw), 10 * power)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> tuple[float, ...]:
    """Positions close to the wanted ones, at least ``gap`` apart, within ``low`` and ``high``.

    Least squares under the spacing constraint: isotonic regression by pooling adjacent violators
    (Barlow et al., 1972) on the wanted positions without the gaps.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []
    for place, index in enumerate(order):
        mean, size = wanted[index] - place * gap, 1
        while blocks and blocks[-1][0] >= mean:
            before, count = blocks.pop()
            mean = (mean * size + before * count) / (size + count)
            size += count
        blocks.append((mean, size))
    room = max(high - gap * (len(order) - 1), low)
    flat = [min(max(mean, low), room) for mean, size in blocks for _ in range(size)]
    places = [0.0] * len(order)
    for place, index in enumerate(order):
        places[index] = flat[place] + place * gap
    return tuple(places)


def labelled(values: Sequence[int], most: int) -> tuple[int, ...]:
    """The ordered series to label: all, or powers of two and the last, or evenly spaced ones."""
    if len(values) <= most:
        return tuple(values)
    powers = [value for value in values if value & (value - 1) == 0]
    if 3 <= len(powers) < most:
        near = [v for v in powers if v == values[-1] or v * 1.2 < values[-1]]
        return tuple(dict.fromkeys([*near, values[-1]]))
    stride = math.ceil(len(values) / (most - 1))
    return tuple(dict.fromkeys([*values[:-1:stride], values[-1]]))


def _count_ticks(values: Sequence[int], scale: Scale, room: float = 25.0) -> tuple[float, ...]:
    for stride in (1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 256):
        kept = [v for v in values if v == values[0] or v % stride == 0]
        if _apart([scale.pixel(v) for v in kept], room):
            return tuple(float(v) for v in kept)
    kept = [values[0]]
    for value in values:
        if scale.pixel(value) - scale.pixel(kept[-1]) >= room:
            kept.append(value)
    return tuple(float(v) for v in kept)


def _apart(places: Sequence[float], room: float) -> bool:
    return all(b - a >= room for a, b in pairwise(places))
