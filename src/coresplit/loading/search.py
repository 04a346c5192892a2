"""The highest rate that holds a latency: bracketing, bisection, repetition at the end; pure."""

import math
from collections.abc import Callable
from typing import Literal

from coresplit.records.load import LoadRun, LoadSearch, LoadTrial

LEAST_RATE, MOST_RATE = 0.01, 1e6
REPEATS = 3
_WIDER = 2.0
_MOST_TRIALS = 60

Measure = Callable[[float], LoadTrial | None]
"""Loads the server at a rate; None where the user wants an end."""


def trial_of(run: LoadRun, rate: float, percentile: float) -> LoadTrial:
    """Whether a load held: no more than the share beyond ``percentile`` was late or failed."""
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
        """``held`` or ``failed`` if all of so many trials say so, else ``mixed``."""
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
        """The highest rate at which all trials held, or the lowest at which all failed."""
        rates = {trial.rate for trial in self.trials}
        sure = [r for r in rates if all(t.held == holds for t in self.all_of(r))]
        often = [rate for rate in sure if len(self.all_of(rate)) >= REPEATS]
        return (max if holds else min)(often or sure, default=None)


class _Ended(Exception):
    """The user wants an end, or there were too many trials."""


def search(
    measure: Measure, first: float, *, slo: float, percentile: float, precision: float
) -> LoadSearch:
    """Find the rate; it ends with an interval no wider than ``precision``, or as trials differ."""
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
        # a lower rate failed in the only trial it had: the higher one was tried more often
        above = [t.rate for t in tried.trials if t.rate > low]
        high = min((r for r in above if not any(t.held for t in tried.all_of(r))), default=None)
    limit: Literal["server", "generator", "none"] = "none" if high is None else "server"
    if any(trial.limit for trial in tried.all_of(high)):
        # what holds, holds however late the generator was; what fails may be its fault
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
    """A rate that held and twice that, which failed."""
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
    """Closer bounds; near the end most of three trials decide."""
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
    """Go outwards until all trials of a rate below hold, and all of one above fail."""
    step = 1 + precision
    while tried.tried(low, REPEATS) != "held" and low > LEAST_RATE:
        low /= step
        step = 1 + (step - 1) * _WIDER
    step = 1 + precision
    while tried.tried(high, REPEATS) != "failed" and high < MOST_RATE:
        high *= step
        step = 1 + (step - 1) * _WIDER
