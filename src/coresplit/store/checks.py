"""Checks of records beyond the types of their fields, before writing and after reading.

Each check raises ValueError with the violated rule; the caller knows the file and line.
"""

import math
from collections.abc import Iterable

from coresplit.records import (
    AnchorVisit,
    Cell,
    Interval,
    JournalEntry,
    Measurement,
    Published,
    Settings,
    Verification,
)
from coresplit.units import MOST, MOST_CORES

# Wide enough for any forward pass, narrow enough that arithmetic on them stays finite.
SHORTEST_S = 1e-12
LONGEST_S = 1e9
LATEST = 4102444800.0
"""The year 2100."""

# Sums of the same numbers in another order differ in the last digits.
ROUNDING = 1e-9

_SAMPLED = ("measured", "light", "unstable", "invalid")
_EMPTY = ("skipped", "failed")


def checked_measurement(measurement: Measurement) -> Measurement:
    """Return the measurement if it has one kind of value, the one its verdict requires."""
    check_cell(measurement.cell)
    kinds = {
        "samples": bool(measurement.samples),
        "estimate": measurement.estimate is not None,
        "published": measurement.published is not None,
    }
    held = [kind for kind, present in kinds.items() if present]
    if held not in _expected(measurement.verdict):
        holds = " and ".join(held) or "no value"
        raise ValueError(f"verdict '{measurement.verdict}' does not go with {holds}")
    check_durations(measurement.samples, "sample")
    check_durations(measurement.warmup, "warm-up sample")
    _check_visits(measurement)
    _check_copies(measurement)
    if measurement.estimate is not None:
        _check_estimate(measurement.estimate)
    if measurement.published is not None:
        check_published(measurement.published)
    return measurement


def _check_visits(measurement: Measurement) -> None:
    """Check that each sample, also of the warm-up, has one visit, and each visit has a sample."""
    if not measurement.visits:
        return
    for what, values, counts in (
        ("samples", measurement.samples, [visit.samples for visit in measurement.visits]),
        ("warm-up samples", measurement.warmup, [visit.warmup for visit in measurement.visits]),
    ):
        if min(counts) < (what == "samples") or sum(counts) != len(values):
            raise ValueError(f"visits have {counts} {what}, but there are {len(values)}")


def _check_copies(measurement: Measurement) -> None:
    """Check that all samples have as many copies, and a round lasts as long as the longest."""
    if not measurement.copies:
        return
    if len(measurement.copies) != len(measurement.samples):
        raise ValueError(
            f"there are {len(measurement.copies)} rounds of copies, "
            f"but {len(measurement.samples)} samples"
        )
    counts = {len(durations) for durations in measurement.copies}
    if len(counts) > 1 or min(counts) < 2:
        raise ValueError(f"rounds have {sorted(counts)} copies, not one number of two or more")
    for sample, durations in zip(measurement.samples, measurement.copies, strict=True):
        check_durations(durations, "copy")
        _check_ascending((max(durations), sample, sample), "the longest copy and its round")


def _expected(verdict: str) -> tuple[list[str], ...]:
    if verdict == "measured":
        return ["samples"], ["published"]
    if verdict in _SAMPLED:
        return (["samples"],)
    return ([],) if verdict in _EMPTY else (["estimate"],)


def check_cell(cell: Cell) -> None:
    """Check that threads and batch are positive counts, and names are not empty."""
    check_cores((cell.threads,), "threads")
    check_counts((cell.batch,), "batch")
    if not cell.optimization or not cell.allocator:
        raise ValueError("the optimization or allocator of the cell has no name")


def check_settings(settings: Settings) -> None:
    """Check that the lists of the grid are positive counts and the anchor is a cell."""
    check_cores(settings.threads, "threads", " - at `$.settings.threads`")
    check_counts(settings.batches, "batch", " - at `$.settings.batches`")
    if settings.anchor is not None:
        check_cell(settings.anchor)


def checked_entry(entry: JournalEntry) -> JournalEntry:
    """Return the entry if samples are durations and trials have equally many of them."""
    check_time(entry.at)
    if isinstance(entry, AnchorVisit):
        check_durations(entry.samples, "anchor sample")
    if isinstance(entry, Verification):
        _check_verification(entry)
    return entry


def _check_verification(entry: Verification) -> None:
    check_cores((entry.cores,), "cores")
    check_counts((entry.batch,), "batch")
    names = [trial.name for trial in entry.trials]
    if names[:1] != ["split"] or len(set(names)) < len(names):
        raise ValueError(f"trials are {', '.join(names) or 'none'}, not split first, then others")
    if len({len(trial.samples) for trial in entry.trials}) > 1:
        raise ValueError("trials have different numbers of samples")
    for trial in entry.trials:
        if bool(trial.samples) == (trial.published is not None):
            raise ValueError("a trial has either samples or published values")
        check_durations(trial.samples, "trial sample")
        if trial.published is not None:
            check_published(trial.published)
        if trial.predicted is not None:
            _check_estimate(trial.predicted)
        for piece in trial.split.pieces:
            check_cores((piece.instances, piece.threads), "instances or threads of a split")
            check_counts((piece.batch,), "batch of a split")
        if not trial.split.pieces:
            raise ValueError("a split has no instances")


def check_published(published: Published) -> None:
    """Check that minimum, mean and maximum are durations in this order, except for rounding."""
    values = (published.minimum, published.mean, published.maximum)
    check_durations(values, "published latency")
    _check_ascending(values, "published minimum, mean and maximum")


def _check_estimate(estimate: Interval) -> None:
    values = (estimate.low, estimate.value, estimate.high)
    check_durations(values, "estimated latency")
    _check_ascending(values, "estimated low, latency and high")


def _check_ascending(values: tuple[float, float, float], what: str) -> None:
    low, middle, high = values
    if low > middle * (1 + ROUNDING) or middle > high * (1 + ROUNDING):
        raise ValueError(f"{what} are not in order: {low!r}, {middle!r}, {high!r}")


def check_durations(values: tuple[float, ...], what: str) -> None:
    """Check that every value is a positive, finite number of seconds in a sane range."""
    if values and not (min(values) >= SHORTEST_S and max(values) <= LONGEST_S):
        bad = next(value for value in values if not SHORTEST_S <= value <= LONGEST_S)
        raise ValueError(f"{what} {bad!r} is not a duration in seconds above 0")


def check_time(at: float, where: str = "") -> None:
    """Check that a Unix time is between 1970 and 2100; ``where`` ends the message."""
    if not (math.isfinite(at) and 0 <= at <= LATEST):
        raise ValueError(f"{at!r} is not a time in seconds since 1970{where}")


def check_counts(values: Iterable[int], what: str, where: str = "") -> None:
    """Check that every value is from 1 to ``MOST``; ``where`` ends the message."""
    _check_within(values, MOST, what, where)


def check_cores(values: Iterable[int], what: str, where: str = "") -> None:
    """Check that every value is from 1 to ``MOST_CORES``; ``where`` ends the message."""
    _check_within(values, MOST_CORES, what, where)


def _check_within(values: Iterable[int], most: int, what: str, where: str) -> None:
    for value in values:
        if not 1 <= value <= most:
            raise ValueError(f"{what} {_shorten(value)} is not between 1 and {most}{where}")


def _shorten(value: int) -> str:
    # Python refuses to print integers of more than 4300 digits.
    return str(value) if abs(value) < 10**30 else "of more than 30 digits"
