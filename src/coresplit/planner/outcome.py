"""What a verification shows: the verdict, speedups and prediction errors; derived, never stored."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from coresplit.planner.plan import Plan, Speedup
from coresplit.records import Configuration, Estimate, JournalEntry, Trial, Verification
from coresplit.stats.summary import MIN_INTERVAL_SAMPLES, median_interval

_CONDITIONS = ("optimization", "mapping", "allocator", "cores", "batch")

Judgement = Literal["confirmed", "tied", "refuted"]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it ran: its latency in seconds with a 95 % interval of the median.

    ``error`` is predicted over measured, less one.
    """

    trial: Trial
    latency: Estimate
    error: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds say.

    ``speedups`` has how many times faster the split was than each configuration that was run
    beside it, from the ratios within the rounds; ``floor`` is the relative difference below
    which none was named.
    """

    verdict: Judgement
    measured: Mapping[Configuration, Measured]
    speedups: Mapping[Configuration, Speedup]
    floor: float

    @property
    def beaten_by(self) -> tuple[Configuration, ...]:
        """The rivals that were proven faster than the split."""
        return tuple(name for name, one in self.speedups.items() if not one.tie and one.ratio < 1)


def outcome_of(verification: Verification, noise: float | None = None) -> Outcome:
    """The verdict of the rounds; ``noise`` is the relative noise floor of the run, if known.

    ``refuted`` if a rival was proven faster, ``confirmed`` if the split was proven faster than
    every rival, else ``tied``. Proven means that the 95 % interval of the median ratio of the
    rounds lies on one side of one, and the median itself beyond the noise floor.
    Raises ValueError for a verification without rounds.
    """
    split, *rivals = verification.trials
    floor = noise or 0.0
    speedups = {rival.name: _speedup(_ratios(rival, split), floor) for rival in rivals}
    return Outcome(
        verdict=_verdict(speedups),
        measured={trial.name: _measured(trial) for trial in verification.trials},
        speedups=speedups,
        floor=floor,
    )


def verifications_of(journal: Iterable[JournalEntry]) -> tuple[Verification, ...]:
    """The verifications of a run with all their rounds, oldest first.

    A verification is stored round by round, in entries that have the same ``at``.
    """
    found: dict[float, Verification] = {}
    for entry in journal:
        if isinstance(entry, Verification):
            before = found.get(entry.at)
            found[entry.at] = entry if before is None else _joined(before, entry)
    return tuple(found.values())


def proof_of(plan: Plan, journal: Iterable[JournalEntry]) -> Verification | None:
    """The newest verification of the split of a plan, under the same conditions."""
    found = [
        each
        for each in verifications_of(journal)
        if each.trials[0].split == plan.best.split
        and all(getattr(each, name) == getattr(plan, name) for name in _CONDITIONS)
    ]
    return found[-1] if found else None


def _joined(before: Verification, after: Verification) -> Verification:
    trials = tuple(
        msgspec.structs.replace(old, samples=old.samples + new.samples)
        for old, new in zip(before.trials, after.trials, strict=True)
    )
    return msgspec.structs.replace(before, trials=trials)


def _verdict(speedups: Mapping[Configuration, Speedup]) -> Judgement:
    proven = [each for each in speedups.values() if not each.tie]
    if any(each.ratio < 1 for each in proven):
        return "refuted"
    return "confirmed" if proven and len(proven) == len(speedups) else "tied"


def _ratios(rival: Trial, split: Trial) -> list[float]:
    return [there / here for there, here in zip(rival.samples, split.samples, strict=True)]


def _speedup(ratios: Sequence[float], floor: float) -> Speedup:
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
