"""Which batches would not fit in memory, predicted from smaller ones."""

from collections.abc import Mapping

from coresplit.format import format_size

HEADROOM = 0.95
LIVE_TENSORS = 2
"""A layer holds its input and its output at the same time."""


def predicted_peak(peaks: Mapping[int, int], batch: int, largest_tensor: int) -> int | None:
    """Peak memory in bytes of a batch, on the line through the two largest smaller batches.

    ``peaks`` maps measured batches to the peaks of their process. From one measured batch the
    peak grows by twice the model's ``largest_tensor`` (bytes per input). None without any.
    """
    smaller = sorted(size for size in peaks if size < batch)
    if not smaller:
        return None
    last = smaller[-1]
    slope = float(LIVE_TENSORS * largest_tensor)
    if len(smaller) > 1:
        before = smaller[-2]
        slope = max(0.0, (peaks[last] - peaks[before]) / (last - before))
    return round(peaks[last] + slope * (batch - last))


def reason_to_skip(
    peaks: Mapping[int, int], batch: int, available: int, largest_tensor: int
) -> str | None:
    """Why a batch is not tried, with both figures; None where it fits as far as is known.

    ``available`` is what is free now, in bytes. What the process holds already, about the
    smallest of its peaks, comes on top of it.
    """
    peak = predicted_peak(peaks, batch, largest_tensor)
    if peak is None:
        return None
    offered = available + min(peaks.values())
    if peak <= HEADROOM * offered:
        return None
    return f"needs about {format_size(peak)}, but {format_size(offered)} is available"
