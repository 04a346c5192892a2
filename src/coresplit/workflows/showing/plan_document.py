"""A plan as plain values, for scripts."""

from typing import Any

import msgspec

from coresplit.planner import RIVALS, Option, Outcome, Plan, Rival, compared, front_of, outcome_of
from coresplit.records import Verification
from coresplit.workflows.planning import Answer


def document(answer: Answer, verification: Verification | None) -> dict[str, Any]:
    """Return the plan; all durations are in seconds, and the split is the recommended one."""
    plan = answer.plan
    return {
        "batch": plan.batch,
        "cores": plan.cores,
        "optimization": plan.variant.optimization,
        "mapping": plan.variant.mapping,
        "allocator": plan.variant.allocator,
        "setting": plan.setting,
        **_option(plan.recommended),
        **_speedups(plan, plan.recommended),
        "verdict": plan.verdict,
        "fastest": {**_option(plan.fastest), **_speedups(plan, plan.fastest)},
        "tied_with": [name for name in RIVALS if _undecided(plan, name)],
        "not_slower": [_how(other) for other in answer.close],
        "noise_floor": answer.noise,
        "outputs_not_checked": answer.unchecked or None,
        "slo_s": plan.limit,
        "fat": plan.fat and _option(plan.fat),
        "thin": plan.thin and _option(plan.thin),
        "front": [_option(option) for option in front_of(plan, answer.profile)],
        "verified": verification
        and verification_document(plan, verification, outcome_of(verification, answer.variance)),
    }


def _how(plan: Plan) -> dict[str, object]:
    return {
        "optimization": plan.variant.optimization,
        "mapping": plan.variant.mapping,
        "allocator": plan.variant.allocator,
        "latency_s": plan.recommended.predicted.value,
    }


def _undecided(plan: Plan, name: Rival) -> bool:
    """True if neither the fastest nor that rival, a different split, is shown to be faster."""
    standing = plan.standing(name)
    return standing in ("equivalent", "unclear") and not plan.is_rival(name)


def _speedups(plan: Plan, option: Option) -> dict[str, float | None]:
    """Return the predicted speedup of an option over each rival; exactly one over itself."""
    found: dict[str, float | None] = {}
    for name in RIVALS:
        rival = plan.rival(name)
        ratio = None if rival is None else compared(option, [rival])[0].ratio
        found[f"speedup_over_{name}"] = ratio
    return found


def _option(option: Option) -> dict[str, object]:
    return {
        "latency_s": option.predicted.value,
        "latency_low_s": option.predicted.low,
        "latency_high_s": option.predicted.high,
        "split": [
            {"instances": each.instances, "threads": each.threads, "batch": each.batch}
            for each in option.split.pieces
        ],
        "doubts": list(option.doubts),
    }


def verification_document(
    plan: Plan, verification: Verification, outcome: Outcome
) -> dict[str, Any]:
    """Return what ran, with the fastest as ``split``.

    Fat or thin has the latency of the split if it is the same, and null if it was not run.
    """
    found = {each.trial.split: each.latency.value for each in outcome.measured.values()}
    return {
        "verdict": outcome.verdict,
        "rounds": len(verification.trials[0].samples),
        "split_s": found[plan.fastest.split],
        "fat_s": plan.fat and found.get(plan.fat.split),
        "thin_s": plan.thin and found.get(plan.thin.split),
        "predicted_s": {
            name: each.trial.predicted and each.trial.predicted.value
            for name, each in outcome.measured.items()
        },
        "speedup_over": {
            name: {**msgspec.structs.asdict(each), "tie": each.tie}
            for name, each in outcome.speedups.items()
        },
    }
