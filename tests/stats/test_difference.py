"""One function decides whether two things differ, with false discoveries under control."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.stats.difference import (
    MARGIN,
    Contrast,
    benjamini_hochberg,
    between,
    contrast,
    decide,
)
from coresplit.stats.variance import Location, Prior, Variance, VisitValue

STEADY = Variance(between=0.02, within=0.0, alone=Prior(df=25), paired=Prior(factor=0.1, df=25))


def values(*logs: float, blocks: bool = False) -> list[VisitValue]:
    return [
        VisitValue(log=log, forwards=3, block=number if blocks else None)
        for number, log in enumerate(logs)
    ]


def of(log: float, error: float, df: float = math.inf) -> Contrast:
    return Contrast(log=log, error=error, df=df)


def test_the_quicker_of_two_is_faster_and_the_other_slower() -> None:
    assert decide([of(0.1, 0.01), of(-0.1, 0.01)]) == ["faster", "slower"]


def test_equivalence_needs_a_test_of_its_own() -> None:
    assert decide([of(0.0, 0.005)]) == ["equivalent"]
    assert decide([of(0.0, 0.05)]) == ["unclear"]
    assert decide([of(math.log1p(MARGIN), 0.02)]) == ["unclear"]


def test_a_difference_within_the_margin_may_be_shown_all_the_same() -> None:
    assert decide([of(0.02, 0.001)]) == ["faster"]


def test_one_of_many_comparisons_needs_more_evidence() -> None:
    lone = of(0.03, 0.01)
    assert decide([lone]) == ["faster"]
    assert decide([lone, *[of(0.0, 0.01)] * 20])[0] != "faster"


def test_the_procedure_rejects_as_its_authors_did() -> None:
    # the example of Benjamini & Hochberg (1995), section 4, at 5 %
    p_values = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
    ]
    assert benjamini_hochberg(p_values, 0.05) == [True] * 4 + [False] * 11


def test_visits_of_one_block_are_compared_with_each_other() -> None:
    drift = (0.0, 0.1, 0.2)
    slow = values(*(level + 0.05 for level in drift), blocks=True)
    found = contrast(values(*drift, blocks=True), slow, STEADY)
    assert found.pairs == 3
    assert found.log == pytest.approx(0.05)
    assert decide([found]) == ["faster"]
    apart = contrast(values(*drift), values(*(level + 0.05 for level in drift)), STEADY)
    assert apart.pairs == 0
    assert decide([apart]) == ["unclear"]


def test_throughputs_of_different_batches_are_compared_per_input() -> None:
    found = contrast(values(0.0, 0.0), values(math.log(2), math.log(2)), STEADY, per_input=0.5)
    assert found.ratio == pytest.approx(1.0)


def test_a_contrast_of_locations_has_the_degrees_of_freedom_of_welch() -> None:
    one, other = (Location(log=0.0, error=0.01, df=df) for df in (4.0, 4.0))
    assert between(one, other).df == pytest.approx(8.0)
    assert between(one, other).error == pytest.approx(0.01 * math.sqrt(2))


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-4, 1)), min_size=1, max_size=30))
def test_turning_a_comparison_round_turns_its_answer_round(
    pairs: list[tuple[float, float]],
) -> None:
    turned = {"faster": "slower", "slower": "faster"}
    there = decide([of(log, error) for log, error in pairs])
    back = decide([of(log, error).inverse() for log, error in pairs])
    assert back == [turned.get(each, each) for each in there]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_no_larger_p_value_is_rejected_than_one_that_is_kept(p_values: list[float]) -> None:
    rejected = benjamini_hochberg(p_values)
    kept = [p for p, gone in zip(p_values, rejected, strict=True) if not gone]
    assert all(p < min(kept, default=2) for p, g in zip(p_values, rejected, strict=True) if g)


def test_visits_of_one_law_are_hardly_ever_told_apart() -> None:
    rng = random.Random(1)
    named = 0
    for _ in range(2000):
        one, other = (values(*(rng.gauss(0, 0.02) for _ in range(3))) for _ in range(2))
        named += decide([contrast(one, other, STEADY)])[0] in ("faster", "slower")
    assert named <= 2000 * 0.02
