"""Predict which batches would not fit in memory, from smaller ones."""

from collections.abc import Mapping

from coresplit.format import format_size

HEADROOM = 0.95
LIVE_TENSORS = 2
"""A layer holds its input and its output at the same time."""


def predicted_peak(peaks: Mapping[int, int], batch: int, largest_tensor: int) -> int | None:
    """Predict the peak memory of a batch in bytes, on the line through the two next smaller ones.

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
    """Why a batch should not be tried, with both sizes; None if it fits as far as known.

    ``available`` is the memory that is free now, in bytes. The memory that the process already
    holds, about the smallest of its peaks, is added.
    """
    peak = predicted_peak(peaks, batch, largest_tensor)
    if peak is None:
        return None
    offered = available + min(peaks.values())
    if peak <= HEADROOM * offered:
        return None
    return f"needs about {format_size(peak)}, but {format_size(offered)} is available"
