"""The result of a verification: verdict, speedups and prediction errors; derived, never stored."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from coresplit.planner.option import Speedup, speedups
from coresplit.planner.plan import RIVALS, Plan, Rival
from coresplit.records import Configuration, Interval, JournalEntry, Trial, Verification
from coresplit.stats.difference import Contrast, Relation
from coresplit.stats.student import quantile
from coresplit.stats.variance import (
    CONFIDENCE,
    Variance,
    VisitValue,
    locate,
    median_variance,
    sum_of_squares,
)

_CONDITIONS = ("variant", "cores", "batch")

Judgement = Literal["confirmed", "tied", "refuted"]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it ran: its latency in seconds with a 95 % interval of the median.

    ``error`` is predicted over measured, minus one; None without a prediction.
    """

    trial: Trial
    latency: Interval
    error: float | None

    @property
    def inside(self) -> bool:
        """True if the measured median lies in the predicted interval."""
        predicted = self.trial.predicted
        return predicted is not None and predicted.low <= self.latency.value <= predicted.high


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds show.

    ``speedups`` has the speedup of the split over each other configuration that ran, from the
    ratios within the rounds.
    """

    verdict: Judgement
    measured: Mapping[Configuration, Measured]
    speedups: Mapping[Configuration, Speedup]

    @property
    def beaten_by(self) -> tuple[Configuration, ...]:
        """The rivals that were proven faster than the split."""
        return tuple(name for name, one in self.speedups.items() if one.relation == "slower")


def outcome_of(verification: Verification, variance: Variance) -> Outcome:
    """The verdict of the rounds; ``variance`` is that of the run.

    ``refuted`` if a rival was proven faster, ``confirmed`` if the split was proven faster than
    every rival, else ``tied``: too close to call. The rivals of a verification are one family.
    Raises ValueError for a verification without rounds.
    """
    split, *rivals = verification.trials
    contrasts = [contrast_of(_ratios(rival, split), variance) for rival in rivals]
    found = dict(zip((rival.name for rival in rivals), speedups(contrasts), strict=True))
    return Outcome(
        verdict=_verdict(found),
        measured={trial.name: _measured(trial, variance) for trial in verification.trials},
        speedups=found,
    )


def contrast_of(ratios: Sequence[float], variance: Variance) -> Contrast:
    """The median ratio of the rounds with its error, moderated by the variance of the run.

    The prior is that two side-by-side forwards vary as those of the run do (Smyth 2004, as in
    ``stats.variance``), so that few rounds suffice to show a large difference. Every configuration
    ran in processes of its own.
    """
    logs, own = [math.log(ratio) for ratio in ratios], len(ratios) - 1
    prior = variance.paired.factor * 2 * variance.of_visit(1)
    known = variance.paired.df
    each = (known * prior + sum_of_squares(logs)) / (known + own)
    error2 = median_variance(len(logs)) * each + 2 * variance.process**2
    return Contrast(
        log=statistics.median(logs), error=math.sqrt(error2), df=known + own, pairs=len(logs)
    )


def halfwidth_of(ratios: Sequence[float]) -> float:
    """Half the 95 % interval of the median log ratio, from the spread of the rounds alone."""
    own = len(ratios) - 1
    if not own:
        return math.inf
    spread = sum_of_squares([math.log(ratio) for ratio in ratios]) / own
    return quantile(CONFIDENCE, own) * math.sqrt(median_variance(len(ratios)) * spread)


def verifications_of(journal: Iterable[JournalEntry]) -> tuple[Verification, ...]:
    """The verifications of a run with all their rounds, oldest first.

    A verification is stored round by round, in entries with the same ``at``.
    """
    found: dict[float, Verification] = {}
    for entry in journal:
        if isinstance(entry, Verification):
            before = found.get(entry.at)
            found[entry.at] = entry if before is None else _joined(before, entry)
    return tuple(found.values())


def proof_of(plan: Plan, journal: Iterable[JournalEntry]) -> Verification | None:
    """The newest verification of the configurations of a plan, under the same conditions.

    Its trials get the names that the plan uses; other configurations that ran are left out. If the
    fastest has rivals, one of them must have run in the verification. Imported trials, which have
    no prediction, get that of the plan.
    """
    for each in reversed(verifications_of(journal)):
        if all(getattr(each, name) == getattr(plan, name) for name in _CONDITIONS):
            ran = {trial.split: trial for trial in each.trials}
            trials = {
                name: msgspec.structs.replace(
                    ran[option.split],
                    name=name,
                    predicted=ran[option.split].predicted or option.predicted,
                )
                for name, option in plan.configurations
                if option.split in ran
            }
            if "split" in trials and (len(trials) > 1 or len(plan.configurations) == 1):
                return msgspec.structs.replace(each, trials=tuple(trials.values()))
    return None


def settled(plan: Plan, journal: Iterable[JournalEntry], variance: Variance) -> Plan:
    """The plan with the result of its newest verification of the fastest and its rivals."""
    proof = proof_of(plan, journal)
    if proof is None:
        return plan
    found = outcome_of(proof, variance).speedups
    shown: dict[Rival, Relation] = {
        name: found[name].relation
        for name in RIVALS
        if name in found and found[name].relation != "unclear"
    }
    return msgspec.structs.replace(plan, shown=shown)


def _joined(before: Verification, after: Verification) -> Verification:
    trials = tuple(
        msgspec.structs.replace(old, samples=old.samples + new.samples)
        for old, new in zip(before.trials, after.trials, strict=True)
    )
    return msgspec.structs.replace(before, trials=trials)


def _verdict(found: Mapping[Configuration, Speedup]) -> Judgement:
    relations = {each.relation for each in found.values()}
    if "slower" in relations:
        return "refuted"
    return "confirmed" if relations == {"faster"} else "tied"


def _ratios(rival: Trial, split: Trial) -> list[float]:
    return [there / here for there, here in zip(rival.latencies, split.latencies, strict=True)]


def _measured(trial: Trial, variance: Variance) -> Measured:
    rounds = [VisitValue(log=math.log(sample), forwards=1) for sample in trial.latencies]
    low, high = locate(rounds, variance).bounds
    middle = statistics.median(trial.latencies)
    return Measured(
        trial=trial,
        latency=Interval(low=low, value=middle, high=high),
        error=trial.predicted.value / middle - 1 if trial.predicted else None,
    )
