"""What verifications show, in exact numbers and by simulation."""

import math
import random
from collections.abc import Sequence

import pytest

from coresplit.planner import (
    Plan,
    Profile,
    ProfilePoint,
    outcome_of,
    plan,
    proof_of,
    settled,
    verifications_of,
)
from coresplit.planner.verification import contrast_of, halfwidth_of
from coresplit.records import (
    Configuration,
    Interval,
    JournalEntry,
    Trial,
    Variant,
    Verification,
    split_of,
)
from coresplit.stats.variance import ASSUMED, Prior, Variance

SPLIT = [(1, 4), (1, 4)]
NOISE = 0.02
RUN = Variance(between=0.0, within=NOISE, alone=Prior(df=12.0), paired=Prior(df=12.0), df=60.0)
"""A run whose forwards vary by 2 %."""


def trial(
    name: Configuration, cells: Sequence[tuple[int, int]], *samples: float, predicted: float = 1.0
) -> Trial:
    estimate = Interval(low=predicted, value=predicted, high=predicted)
    return Trial(name=name, split=split_of(cells), predicted=estimate, samples=samples)


def verification(*trials: Trial, at: float = 1.0) -> Verification:
    return Verification(
        at=at, optimization="script", setting="isolated", cores=2, batch=8, trials=trials
    )


def rounds(rng: random.Random, *middles: float, count: int) -> list[tuple[float, ...]]:
    """So many latencies of each middle, which drift together from round to round."""
    found = []
    for _ in range(count):
        drift = rng.gauss(0, 0.1)
        found.append(tuple(m * math.exp(drift + rng.gauss(0, NOISE)) for m in middles))
    return list(zip(*found, strict=True))


def verified(rng: random.Random, *middles: float, count: int) -> Verification:
    samples = rounds(rng, *middles, count=count)
    cells: dict[Configuration, list[tuple[int, int]]] = {
        "split": SPLIT, "fat": [(2, 8)], "thin": [(1, 8)],
    }  # fmt: skip
    return verification(
        *(trial(name, cells[name], *each) for name, each in zip(cells, samples, strict=False))
    )


@pytest.mark.parametrize(("fat", "verdict"), [(1.2, "confirmed"), (1.0, "tied"), (0.8, "refuted")])
def test_a_verdict_follows_the_ratios_within_the_rounds(fat: float, verdict: str) -> None:
    found = outcome_of(verified(random.Random(1), 1.0, fat, count=10), RUN)
    assert found.verdict == verdict
    assert found.speedups["fat"].ratio == pytest.approx(fat, rel=0.03)
    assert found.speedups["fat"].tie == (verdict == "tied")
    assert found.beaten_by == (("fat",) if verdict == "refuted" else ())


def test_drift_that_all_configurations_share_does_not_hide_a_gain() -> None:
    drift = (1.0, 1.3, 0.8, 1.1, 1.5, 0.9, 1.2, 1.0)
    found = outcome_of(
        verification(
            trial("split", SPLIT, *drift),
            trial("fat", [(2, 8)], *(1.1 * value for value in drift)),
        ),
        RUN,
    )
    assert found.verdict == "confirmed"
    assert found.speedups["fat"].ratio == pytest.approx(1.1)
    assert found.measured["split"].latency.value == pytest.approx(1.05)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_few_rounds_prove_a_large_difference(count: int) -> None:
    rng = random.Random(count)
    proven = sum(
        outcome_of(verified(rng, 1.0, 1.3, count=count), RUN).verdict == "confirmed"
        for _ in range(100)
    )
    assert proven >= 95


@pytest.mark.parametrize("count", [3, 6, 10, 30])
def test_configurations_that_do_not_differ_are_hardly_ever_told_apart(count: int) -> None:
    rng = random.Random(100 + count)
    named = 0
    for _ in range(1000):
        found = outcome_of(verified(rng, 1.0, 1.0, 1.0, count=count), RUN)
        named += any(not each.tie for each in found.speedups.values())
    assert named <= 10


def test_many_rounds_show_that_two_are_equivalent() -> None:
    found = outcome_of(verified(random.Random(3), 1.0, 1.0, count=60), RUN)
    assert found.speedups["fat"].relation == "equivalent"
    assert found.verdict == "tied"


def test_a_run_that_knows_little_of_its_noise_names_nothing_from_a_single_round() -> None:
    found = outcome_of(verified(random.Random(3), 1.0, 1.3, count=1), ASSUMED)
    assert found.verdict == "tied"


def test_the_error_of_few_rounds_is_mostly_that_of_the_run() -> None:
    found = contrast_of([1.1, 1.1, 1.1], RUN)
    assert found.df == 14.0
    assert found.error == pytest.approx(math.sqrt(0.4487 * 12 / 14 * 2) * NOISE)
    apart = contrast_of([1.1] * 3, Variance(between=0.0, within=0.0, process=0.05))
    assert apart.error == pytest.approx(0.05 * math.sqrt(2))


def test_the_width_of_rounds_is_their_own() -> None:
    assert halfwidth_of([1.0]) == math.inf
    assert halfwidth_of([1.1] * 5) == 0.0
    assert halfwidth_of([1.0, 1.1] * 5) > halfwidth_of([1.0, 1.1] * 20)


def test_a_rival_that_is_proven_faster_refutes_whatever_the_other_does() -> None:
    found = outcome_of(verified(random.Random(2), 1.0, 1.5, 0.9, count=10), RUN)
    assert found.verdict == "refuted"
    assert found.beaten_by == ("thin",)


def test_an_error_is_predicted_over_measured_less_one() -> None:
    found = outcome_of(verification(trial("split", SPLIT, *[1.25] * 8)), RUN)
    assert found.measured["split"].error == pytest.approx(-0.2)
    assert not found.measured["split"].inside
    assert (found.verdict, found.speedups) == ("tied", {})


def planned(values: dict[tuple[int, int], float]) -> Plan:
    cells = {place: ProfilePoint(latency=value) for place, value in values.items()}
    found = plan(Profile(variant=Variant("script"), cells=cells), 2, 8)
    assert found is not None
    return found


def test_rounds_of_one_verification_are_joined_and_the_newest_one_is_the_proof() -> None:
    entries = [
        verification(trial("split", SPLIT, value), trial("fat", [(2, 8)], 2 * value), at=at)
        for at, value in ((1.0, 1.0), (1.0, 1.1), (2.0, 3.0), (2.0, 3.1), (2.0, 3.2))
    ]
    journal: list[JournalEntry] = list(entries)
    first, second = verifications_of(journal)
    assert first.trials[0].samples == (1.0, 1.1)
    assert second.trials[1].samples == (6.0, 6.2, 6.4)
    values = {(1, 4): 1.0, (2, 8): 1.5}
    assert proof_of(planned(values), journal) == second
    assert proof_of(planned({(2, 8): 1.5}), journal) is not None
    assert proof_of(planned({**values, (1, 2): 0.4, (1, 6): 0.9}), journal) is None
    assert proof_of(planned(values), []) is None


def test_what_was_run_under_another_name_is_the_proof_of_the_same_configurations() -> None:
    ran = verification(trial("split", SPLIT, 3.0, 3.1), trial("fat", [(2, 8)], 2.0, 2.1))
    plan_of_fat = planned({(1, 4): 1.0, (2, 8): 0.9})
    proof = proof_of(plan_of_fat, [ran])
    assert proof is not None
    assert {each.name: each.samples for each in proof.trials} == {
        "split": (2.0, 2.1),
        "thin": (3.0, 3.1),
    }


@pytest.mark.parametrize(
    ("fat", "verdict"), [(1.3, "faster"), (0.8, "fat is fastest"), (1.0, "too close to call")]
)
def test_a_decided_verification_beats_the_prediction(fat: float, verdict: str) -> None:
    made = planned({(1, 4): 1.0, (2, 8): 1.3})
    assert made.verdict == "faster"
    found = settled(made, [verified(random.Random(4), 1.0, fat, count=60)], RUN)
    assert found.verdict == verdict
    assert found.recommended == (made.fastest if verdict == "faster" else made.fat)


def test_a_verification_that_decides_nothing_leaves_the_prediction() -> None:
    made = planned({(1, 4): 1.0, (2, 8): 1.3})
    wide = verified(random.Random(4), 1.0, 1.02, count=1)
    assert settled(made, [wide], ASSUMED) == made
