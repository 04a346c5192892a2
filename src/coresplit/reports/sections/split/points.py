"""The points of the charts of splits: expected and actual speedups, measured over predicted."""

from collections.abc import Mapping, Sequence
from itertools import cycle, groupby

import msgspec

from coresplit.analysis.splits import Choice, Proof
from coresplit.charts.ratio import Point
from coresplit.planner import RIVALS, Measured, Rival
from coresplit.records import Configuration, Interval, Variant
from coresplit.reports.sections.split.text import (
    JUDGEMENTS,
    error,
    gain,
    instances,
    judgement,
    ratio,
    seconds,
    verdict,
)

CONFIGURATIONS: tuple[Configuration, ...] = ("split", "fat", "thin")
SHAPES = {"confirmed": "square", "tied": "diamond", "refuted": "cross"}
WAYS = ("circle", "square", "triangle-up", "diamond", "triangle-down")
ASIDE, WIDEST = 9.0, 30.0
"""Pixels between points of one batch, so that none hides another, and at most over all of them."""


def speedup_points(choices: Sequence[Choice]) -> tuple[Point, ...]:
    """Expected speedups over fat and thin, joined, and actual ones of verified splits."""
    found = []
    # the last is drawn on top; most readers want the comparison with one instance
    for rival in reversed(RIVALS):
        stretch = 0
        for choice in choices:
            expected, actual = choice.speedup(rival), choice.proven(rival)
            if expected is None:
                stretch += 1
                continue
            point = Point(
                name=rival,
                batch=choice.plan.batch,
                value=expected.ratio,
                low=expected.low,
                high=expected.high,
                told=_expected(choice, rival),
            )
            hollow = choice.guessed(rival) and not choice.plan.is_rival(rival)
            found.append(msgspec.structs.replace(point, hollow=hollow, stretch=stretch))
            if actual:
                found.append(
                    msgspec.structs.replace(
                        point,
                        value=actual.ratio,
                        low=actual.low,
                        high=actual.high,
                        shape=SHAPES[judgement(actual)],
                        aside=ASIDE if rival == "fat" else -ASIDE,
                    )
                )
    return tuple(found)


def prediction_shapes(proofs: Sequence[Proof]) -> dict[Variant, str]:
    """The shape of each optimization that was run, to tell those of one batch apart."""
    variants = dict.fromkeys(proof.verification.variant for proof in proofs)
    return dict(zip(variants, cycle(WAYS)))


def prediction_points(proofs: Sequence[Proof]) -> tuple[Point, ...]:
    """Measured over predicted latency of every configuration that was run, batch by batch.

    Configurations without a prediction are left out.
    """
    shapes = prediction_shapes(proofs)
    found: list[Point] = []
    for _, group in groupby(proofs, lambda proof: proof.verification.batch):
        points = [
            _prediction(proof, each, each.trial.predicted, shapes)
            for proof in group
            for name in CONFIGURATIONS
            if (each := proof.outcome.measured.get(name)) and each.trial.predicted
        ]
        step = min(ASIDE, WIDEST / max(1, len(points)))
        found += [
            msgspec.structs.replace(point, aside=step * (place - (len(points) - 1) / 2))
            for place, point in enumerate(points)
        ]
    return tuple(found)


def _prediction(
    proof: Proof, each: Measured, predicted: Interval, shapes: Mapping[Variant, str]
) -> Point:
    return Point(
        name=each.trial.name,
        batch=proof.verification.batch,
        value=each.latency.value / predicted.value,
        low=each.latency.low / predicted.value,
        high=each.latency.high / predicted.value,
        told=_ran(proof, each, predicted),
        shape=shapes[proof.verification.variant],
    )


def _expected(choice: Choice, rival: Rival) -> dict[str, str]:
    plan, actual = choice.plan, choice.proven(rival)
    option = plan.rival(rival)
    return {
        "batch": str(plan.batch),
        "optimization": str(plan.variant),
        "split": instances(plan.fastest.split),
        "over": f"{rival}: {instances(option.split)}" if option else rival,
        "expected": gain(choice, rival),
        "actual": ratio(actual) if actual else "not run",
        "verified": verdict(choice),
    }


def _ran(proof: Proof, each: Measured, predicted: Interval) -> dict[str, str]:
    return {
        "batch": str(proof.verification.batch),
        "cores": str(proof.verification.cores),
        "optimization": str(proof.verification.variant),
        "configuration": each.trial.name,
        "instances": instances(each.trial.split),
        "predicted": seconds(predicted),
        "measured": seconds(each.latency),
        "prediction error": error(each),
        "rounds": str(len(each.trial.samples)),
        "verdict": JUDGEMENTS[proof.outcome.verdict],
    }
