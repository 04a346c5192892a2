"""Which batches would not fit in memory, foretold from smaller ones."""

from collections.abc import Mapping

from coresplit.units import format_size

HEADROOM = 0.95


def predicted_peak(peaks: Mapping[int, int], batch: int) -> int | None:
    """Peak memory in bytes of a batch, on the line through the two largest smaller batches.

    ``peaks`` maps measured batches to their peaks. With one measured batch the whole of it is
    taken to grow with the batch, which errs on the safe side. None without any.
    """
    smaller = sorted(size for size in peaks if size < batch)
    if not smaller:
        return None
    last = smaller[-1]
    if len(smaller) == 1:
        return round(peaks[last] * batch / last)
    before = smaller[-2]
    slope = max(0.0, (peaks[last] - peaks[before]) / (last - before))
    return round(peaks[last] + slope * (batch - last))


def reason_to_skip(peaks: Mapping[int, int], batch: int, available: int) -> str | None:
    """Why a batch is not tried, with both figures; None where it fits as far as is known.

    One measured batch is not trusted beyond four times its size: its peak is mostly weights.
    """
    peak = predicted_peak(peaks, batch)
    if peak is None or (len(peaks) == 1 and batch > 4 * min(peaks)):
        return None
    if peak <= HEADROOM * available:
        return None
    return f"needs about {format_size(peak)}, {format_size(available)} are available"
