"""The best split for every batch of a run, with the results of verifications; pure."""

from collections.abc import Iterable, Sequence

import msgspec

from coresplit.analysis.view import RunView
from coresplit.planner import (
    Option,
    Outcome,
    Plan,
    Profile,
    Rival,
    Speedup,
    cores_of,
    interpolated,
    lossless,
    outcome_of,
    profiles_of,
    proof_of,
    select,
    superlinear,
    verifications_of,
)
from coresplit.records import Run, Split, Variant, Verification
from coresplit.stats.variance import Variance

GUESSES = {"estimated", "interpolated"}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of one batch, its profile, and the outcome of its newest verification if any."""

    plan: Plan
    profile: Profile
    outcome: Outcome | None
    close: tuple[Plan, ...] = ()

    def speedup(self, rival: Rival) -> Speedup | None:
        """The predicted speedup of the fastest over a rival; exactly one over itself."""
        return self.plan.speedup(rival)

    def proven(self, rival: Rival) -> Speedup | None:
        """The measured speedup over a rival; None if the two were not run together."""
        return self.outcome.speedups.get(rival) if self.outcome else None

    def shown(self, rival: Rival) -> Speedup | None:
        """The measured speedup if it shows a difference, else the predicted one."""
        actual = self.proven(rival)
        return actual if actual and not actual.tie else self.speedup(rival)

    def gains(self, rival: Rival) -> bool:
        """True if the fastest is shown to be faster, by measurement or a plausible prediction."""
        if self.plan.standing(rival) != "faster" or self.beaten_by:
            return False
        return self.plan.shown.get(rival) == "faster" or not superlinear(self.plan, rival)

    def guessed(self, rival: Rival | None = None) -> bool:
        """True if its prediction, or the rival's, is based on cells that were not measured."""
        options: list[Option | None] = [self.plan.fastest]
        options += [self.plan.rival(rival)] if rival else []
        return any(option is not None and GUESSES & set(option.doubts) for option in options)

    @property
    def hollow(self) -> bool:
        """True if the recommendation is based on cells that were not measured."""
        return bool(GUESSES & set(self.plan.recommended.doubts))

    @property
    def beaten_by(self) -> tuple[str, ...]:
        """The rivals that were proven faster than the split."""
        return self.outcome.beaten_by if self.outcome else ()


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A verification and what it shows."""

    verification: Verification
    outcome: Outcome

    @property
    def predicted(self) -> bool:
        """True if anything that ran has a prediction."""
        return any(trial.predicted is not None for trial in self.verification.trials)


def choices_of(view: RunView, variant: Variant | None = None) -> tuple[Choice, ...]:
    """The plan of every batch, ascending; empty if there is only one core.

    Batches are those of the run and others that were verified. Optimizations that are not known to
    be lossy compete, or all if there are none; ``variant`` restricts the choice to one variant.
    """
    if not view.groups:
        return ()
    cores = cores_of(view.run)
    if cores < 2:
        return ()
    profiles = profiles_of(view.run, variance=view.claims.variance)
    if variant is None:
        profiles = lossless(profiles, view.lossy) or profiles
    else:
        profiles = tuple(each for each in profiles if each.variant == variant)
    batches = {batch for profile in profiles for batch in profile.batches}
    verified = {each.batch for each in verifications_of(view.run.journal)}
    found = [_choice(profiles, cores, batch, view) for batch in batches]
    found += [_proven(profiles, cores, batch, view) for batch in verified - batches]
    return tuple(sorted((one for one in found if one), key=lambda one: one.plan.batch))


def others_of(
    view: RunView, choices: Sequence[Choice], proofs: Iterable[Proof]
) -> dict[Variant, tuple[Choice, ...]]:
    """Choices by variant, for each variant with verifications that ``choices`` do not include."""
    variants = dict.fromkeys(one.verification.variant for one in proofs)
    alone = {variant: choices_of(view, variant) for variant in variants}
    shown = _proven_of(choices)
    return {variant: own for variant, own in alone.items() if not _proven_of(own) <= shown}


def _proven_of(choices: Iterable[Choice]) -> set[tuple[Variant, int]]:
    return {(one.plan.variant, one.plan.batch) for one in choices if one.outcome}


def proofs_of(run: Run, variance: Variance) -> tuple[Proof, ...]:
    """The newest verification of every split under its conditions, ascending by batch."""
    newest: dict[tuple[Variant, int, Split], Verification] = {}
    for each in verifications_of(run.journal):
        split = each.trials[0].split
        newest[each.variant, each.cores, split] = each
    ordered = sorted(newest.values(), key=lambda each: (each.batch, each.at))
    return tuple(Proof(verification=each, outcome=outcome_of(each, variance)) for each in ordered)


def leading(choices: Sequence[Choice], rival: Rival = "fat") -> Choice | None:
    """The choice with the largest significant gain over a rival; None if there is none.

    Measured gains come before predicted ones, and those before gains based on estimated cells.
    """
    gains = [
        (one.plan.shown.get(rival) == "faster", not one.guessed(rival), _ratio(one, rival), one)
        for one in choices
        if one.gains(rival)
    ]
    return max(gains, key=lambda gain: gain[:3])[3] if gains else None


def undecided(choices: Sequence[Choice]) -> Choice | None:
    """The never verified, too close to call choice with the largest predicted gain over fat."""
    found = [
        one for one in choices if one.plan.standing("fat") == "unclear" and one.outcome is None
    ]
    return max(found, key=lambda one: _ratio(one, "fat"), default=None)


def _ratio(choice: Choice, rival: Rival) -> float:
    found = choice.shown(rival)
    return found.ratio if found else 0.0


def _choice(profiles: Iterable[Profile], cores: int, batch: int, view: RunView) -> Choice | None:
    journal, variance = view.run.journal, view.claims.variance
    found = select(profiles, cores, batch, journal=journal, variance=variance)
    if found is None:
        return None
    proof = proof_of(found.plan, journal)
    return Choice(
        plan=found.plan,
        profile=found.profile,
        outcome=outcome_of(proof, variance) if proof else None,
        close=found.close,
    )


def _proven(profiles: Sequence[Profile], cores: int, batch: int, view: RunView) -> Choice | None:
    """The verified split of a batch that was not measured; interpolated profiles come first."""
    between = [interpolated(each, batch) for each in profiles]
    found = (_choice(each, cores, batch, view) for each in (between, profiles))
    return next((one for one in found if one and one.outcome), None)
