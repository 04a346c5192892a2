"""The noise floor of a run: how far a cell is from itself when it is measured twice."""

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations

from coresplit.records import AnchorVisit, JournalEntry

MIN_VISITS = 4
MAX_SPLITS = 2000
ASSUMED_FLOOR = 0.05
"""Taken where a run has no anchor visits to tell its noise by; said whenever it is used."""


def noise_floor(journal: Sequence[JournalEntry]) -> float | None:
    """Relative difference that two measurements of one cell stay within, 95 times in 100.

    The visits of the anchor cell are split into two halves in every way there is (2000 random
    ways where there are more); each half is one measurement of the same cell, spread over the
    run as those of other cells are. The 95th percentile of |log ratio| of their medians is
    returned as a relative difference. None with fewer than four visits: there is no telling.
    """
    medians = [
        statistics.median(entry.samples)
        for entry in journal
        if isinstance(entry, AnchorVisit) and entry.samples
    ]
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
