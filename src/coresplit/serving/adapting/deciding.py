"""Whether to serve with other instances: candidates are compared over the load of the last window.

The load is replayed through every candidate, so that what is compared is what clients would have
seen. The window is cut into slices, and the ratio of two candidates within each slice is one sample
of a test: a difference that the slices do not show is none (``stats.difference``).
"""

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from coresplit.serving.adapting.simulation import Arrival, Candidate, replay
from coresplit.stats.difference import Contrast, decide

SLICES = 6
FEWEST_IN_SLICE = 2
"""A slice with fewer requests says nothing."""
MARGIN = 0.03
"""A gain below this is not worth a switch."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided: the name of a candidate, and what is predicted of it and of the present one.

    ``gain`` is how many times as long the 99th percentile of the present one is.
    """

    name: str
    gain: float = 1.0
    predicted_s: float = math.nan
    present_s: float = math.nan


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to switch; times in seconds.

    With ``slo_s`` the candidate that uses the fewest cores is wanted of those whose 99th percentile
    holds it; ``costs`` are cores of each candidate. Else the lowest 99th percentile is.
    """

    slo_s: float | None = None
    costs: Mapping[str, float] = {}
    margin: float = MARGIN


def wanted(
    candidates: Mapping[str, Candidate],
    present: str,
    window: Sequence[Arrival],
    rules: Rules = Rules(),  # noqa: B008 (frozen)
) -> Wanted:
    """The candidate to serve with after a window of arrivals; the present one where in doubt.

    ``window`` is in order; what was in the system when it began are arrivals at its beginning.
    """
    slices = _slices(window)
    if not slices:
        return Wanted(name=present)
    found = {
        name: [_tail(candidate, part) for part in slices] for name, candidate in candidates.items()
    }
    whole = {name: replay(each, window).quantile(0.99) for name, each in candidates.items()}
    best = _best(whole, rules)
    if best == present:
        return Wanted(name=present, predicted_s=whole[present], present_s=whole[present])
    contrast = _contrast(found[best], found[present])
    saves = rules.slo_s is not None and whole[present] <= rules.slo_s and whole[best] <= rules.slo_s
    faster = decide([contrast])[0] == "faster" and contrast.ratio > 1 + rules.margin
    chosen = best if saves or (faster and whole[best] < whole[present]) else present
    return Wanted(
        name=chosen,
        gain=whole[present] / whole[best],
        predicted_s=whole[chosen],
        present_s=whole[present],
    )


def _best(whole: Mapping[str, float], rules: Rules) -> str:
    if rules.slo_s is not None:
        holding = [name for name, tail in whole.items() if tail <= rules.slo_s]
        if holding:
            return min(holding, key=lambda name: (rules.costs.get(name, 0.0), whole[name]))
    return min(whole, key=lambda name: whole[name])


def _slices(window: Sequence[Arrival]) -> list[list[Arrival]]:
    """Slices of the window by count of requests, so that each says about as much."""
    size = len(window) // SLICES
    if size < FEWEST_IN_SLICE:
        return []
    return [list(window[at : at + size]) for at in range(0, size * SLICES, size)]


def _tail(candidate: Candidate, part: Sequence[Arrival]) -> float:
    """Mean of the latencies above the median: a tail that few requests can tell."""
    ordered = sorted(replay(candidate, part).latencies)
    return statistics.fmean(ordered[len(ordered) // 2 :])


def _contrast(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """How many times as fast the first is, from ratios within slices."""
    logs = [math.log(other / one) for one, other in zip(first, second, strict=True)]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return Contrast(log=statistics.fmean(logs), error=max(error, 1e-9), df=len(logs) - 1)
