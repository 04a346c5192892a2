"""Find the highest rate that holds a latency: bracket, bisect, then repeat to confirm; pure."""

import math
from collections.abc import Callable
from typing import Literal

from coresplit.records.load import LoadRun, LoadSearch, LoadTrial

LEAST_RATE, MOST_RATE = 0.01, 1e6
REPEATS = 3
_WIDER = 2.0
_MOST_TRIALS = 60

Measure = Callable[[float], LoadTrial | None]
"""Loads the server at a rate; returns None if the user stopped it."""


def trial_of(run: LoadRun, rate: float, percentile: float) -> LoadTrial:
    """Return whether a load held: at most the share beyond ``percentile`` was late or failed."""
    late = run.late + run.unfinished
    allowed = (1 - percentile / 100) * run.due
    return LoadTrial(
        rate=rate,
        held=not run.stopped_early and run.due > 0 and late <= allowed + 1e-9,
        late=min(late, run.due),
        count=run.due,
        throughput=run.throughput,
        ended_early=run.stopped_early,
        limit=run.generator.limit,
    )


class _Search:
    """Trials by rate."""

    def __init__(self, measure: Measure) -> None:
        self.trials: list[LoadTrial] = []
        self._measure = measure

    def tried(self, rate: float, times: int) -> str:
        """Return ``held`` or ``failed`` if all of ``times`` trials agree, else ``mixed``."""
        own = [trial for trial in self.trials if trial.rate == rate]
        while len(own) < times and len({trial.held for trial in own}) < 2:
            if len(self.trials) >= _MOST_TRIALS:
                raise _Ended
            trial = self._measure(rate)
            if trial is None:
                raise _Ended
            own.append(trial)
            self.trials.append(trial)
        if len({trial.held for trial in own}) > 1:
            return "mixed"
        return "held" if own[0].held else "failed"

    def all_of(self, rate: float | None) -> list[LoadTrial]:
        return [trial for trial in self.trials if trial.rate == rate]

    def best(self, holds: bool) -> float | None:
        """Return the highest rate at which all trials held, or the lowest at which all failed."""
        rates = {trial.rate for trial in self.trials}
        sure = [r for r in rates if all(t.held == holds for t in self.all_of(r))]
        often = [rate for rate in sure if len(self.all_of(rate)) >= REPEATS]
        return (max if holds else min)(often or sure, default=None)


class _Ended(Exception):
    """The user stopped the search, or there were too many trials."""


def search(
    measure: Measure, first: float, *, slo: float, percentile: float, precision: float
) -> LoadSearch:
    """Find the rate within an interval no wider than ``precision``, unless trials disagree."""
    tried = _Search(measure)
    finished = True
    try:
        low, high = _bracket(tried, first)
        if low is not None and high is not None:
            low, high = _bisect(tried, low, high, precision)
            _confirm(tried, low, high, precision)
    except _Ended:
        finished = False
    low, high = tried.best(True), tried.best(False)
    if low is not None and high is not None and high < low:
        # a lower rate failed in its only trial, but the higher one was tried more often
        above = [t.rate for t in tried.trials if t.rate > low]
        high = min((r for r in above if not any(t.held for t in tried.all_of(r))), default=None)
    limit: Literal["server", "generator", "none"] = "none" if high is None else "server"
    if any(trial.limit for trial in tried.all_of(high)):
        # a late generator cannot make a rate hold, but it can make one fail
        limit = "generator"
    return LoadSearch(
        slo=slo,
        percentile=percentile,
        low=low,
        high=high,
        limit=limit,
        trials=tuple(tried.trials),
        finished=finished,
    )


def _bracket(tried: _Search, first: float) -> tuple[float | None, float | None]:
    """Return a rate that held and twice that rate, which failed; None for one not found."""
    rate = first
    if tried.tried(rate, 1) == "held":
        while tried.tried(rate * 2, 1) == "held":
            rate *= 2
            if rate * 2 > MOST_RATE:
                return rate, None
        return rate, rate * 2
    while tried.tried(rate / 2, 1) != "held":
        rate /= 2
        if rate / 2 < LEAST_RATE:
            return None, rate
    return rate / 2, rate


def _bisect(tried: _Search, low: float, high: float, precision: float) -> tuple[float, float]:
    """Return closer bounds; near the end, the majority of three trials decides."""
    while high / low > 1 + precision:
        middle = math.sqrt(low * high)
        times = 1 if high / low > 1 + 4 * precision else REPEATS
        found = tried.tried(middle, times)
        if found == "mixed":
            held = sum(t.held for t in tried.all_of(middle))
            found = "held" if 2 * held > len(tried.all_of(middle)) else "failed"
        if found == "held":
            low = middle
        else:
            high = middle
    return low, high


def _confirm(tried: _Search, low: float, high: float, precision: float) -> None:
    """Move outwards until all trials of the lower rate hold and all of the upper one fail."""
    step = 1 + precision
    while tried.tried(low, REPEATS) != "held" and low > LEAST_RATE:
        low /= step
        step = 1 + (step - 1) * _WIDER
    step = 1 + precision
    while tried.tried(high, REPEATS) != "failed" and high < MOST_RATE:
        high *= step
        step = 1 + (step - 1) * _WIDER
