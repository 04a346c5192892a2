"""What a verification shows: the verdict, speedups and prediction errors; derived, never stored."""

import statistics
from collections.abc import Mapping
from typing import Literal

import msgspec

from coresplit.planner.plan import Speedup
from coresplit.records import Configuration, Estimate, Trial, Verification
from coresplit.stats.noise import floor_of_medians
from coresplit.stats.summary import MIN_INTERVAL_SAMPLES, median_interval

Judgement = Literal["confirmed", "tied", "refuted"]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it ran: its latency in seconds with a 95 % interval of the median.

    ``error`` is predicted over measured, less one.
    """

    trial: Trial
    latency: Estimate
    error: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds say. ``floor`` is the noise floor among the rounds of the split.

    ``speedups`` has how many times faster the split was than each configuration that was run
    beside it, from the ratios within the rounds.
    """

    verdict: Judgement
    measured: Mapping[Configuration, Measured]
    speedups: Mapping[Configuration, Speedup]
    floor: float


def outcome_of(verification: Verification) -> Outcome:
    """The verdict of the rounds.

    ``refuted`` if a rival was proven faster, ``confirmed`` if the split was proven faster than
    every rival, else ``tied``. Proven means that the 95 % interval of the median ratio of the
    rounds lies on one side of one, and the median itself beyond the noise floor of the rounds.
    Raises ValueError for a verification without rounds.
    """
    split = verification.trials[0]
    floor = floor_of_medians(split.samples) or 0.0
    speedups = {
        rival.name: _speedup(rival.samples, split.samples, floor)
        for rival in verification.trials[1:]
    }
    return Outcome(
        verdict=_verdict(speedups),
        measured={trial.name: _measured(trial) for trial in verification.trials},
        speedups=speedups,
        floor=floor,
    )


def _verdict(speedups: Mapping[Configuration, Speedup]) -> Judgement:
    proven = [each for each in speedups.values() if not each.tie]
    if any(each.ratio < 1 for each in proven):
        return "refuted"
    return "confirmed" if proven and len(proven) == len(speedups) else "tied"


def _speedup(rival: tuple[float, ...], split: tuple[float, ...], floor: float) -> Speedup:
    ratios = [there / here for there, here in zip(rival, split, strict=True)]
    low, high = median_interval(ratios)
    ratio = statistics.median(ratios)
    beyond = ratio > 1 + floor or ratio < 1 / (1 + floor)
    proven = len(ratios) >= MIN_INTERVAL_SAMPLES and beyond and (low > 1 or high < 1)
    return Speedup(low=low, ratio=ratio, high=high, tie=not proven)


def _measured(trial: Trial) -> Measured:
    low, high = median_interval(trial.samples)
    middle = statistics.median(trial.samples)
    return Measured(
        trial=trial,
        latency=Estimate(low=low, latency=middle, high=high),
        error=trial.predicted.latency / middle - 1,
    )
