"""The noise of a run as numbers for people: its floor, and the drift within visits."""

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations

from coresplit.records import JournalEntry, Run
from coresplit.stats.fitting import anchor_groups
from coresplit.stats.variance import visit_values

MIN_VISITS = 4
MAX_SPLITS = 2000
MIN_SAMPLES = 3


def noise_floor(journal: Sequence[JournalEntry]) -> float | None:
    """Relative difference that two measurements of one cell stay within, 95 times in 100.

    The visits of the anchor cell are split into two halves in every possible way (2000 random
    ways if there are more). Each half is one measurement of the same cell, spread over the run
    like those of other cells. The 95th percentile of |log ratio| of their medians is returned as
    a relative difference; None with fewer than four visits. If the anchor changed during the run,
    only the cell with most visits counts.

    The number is for people: ``difference.decide`` decides what differs.
    """
    groups = anchor_groups(journal, None).values()
    medians = [statistics.median(samples) for samples in max(groups, key=len, default=[])]
    if len(medians) < MIN_VISITS:
        return None
    gaps = sorted(_gap(medians, set(half)) for half in _halves(len(medians)))
    return math.expm1(gaps[math.ceil(0.95 * len(gaps)) - 1])


def _halves(count: int) -> Iterator[tuple[int, ...]]:
    half = count // 2
    if math.comb(count, half) <= MAX_SPLITS:
        yield from combinations(range(count), half)
        return
    drawn = random.Random(0)
    for _ in range(MAX_SPLITS):
        yield tuple(drawn.sample(range(count), half))


def _gap(medians: Sequence[float], half: set[int]) -> float:
    one = statistics.median(value for index, value in enumerate(medians) if index in half)
    other = statistics.median(value for index, value in enumerate(medians) if index not in half)
    return abs(math.log(one / other))


def visit_drift(run: Run) -> float | None:
    """How much slower the first sample of a visit is than the others (relative, median).

    Over all visits of three samples or more; None without any. Warm-up is already cut off, so this
    is the drift that remains within visits.
    """
    gaps = [
        math.log(samples[0] / statistics.median(samples[1:]))
        for measurement in run.measurements
        if visit_values(measurement)
        for samples in measurement.by_visit
        if len(samples) >= MIN_SAMPLES
    ]
    return math.expm1(statistics.median(gaps)) if gaps else None
