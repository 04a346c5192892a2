import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coresplit.optimizations import MAX_ERROR, compare
from coresplit.optimizations.accuracy.compare import Comparer


def relative_error(reference: torch.Tensor, found: torch.Tensor) -> float:
    return compare((reference,), (found,)).error


def outputs(inputs: int = 8, classes: int = 100) -> torch.Tensor:
    return torch.randn(inputs, classes, generator=torch.Generator().manual_seed(0)) + 50


def test_the_same_outputs_have_no_error() -> None:
    assert relative_error(outputs(), outputs()) == 0.0


def test_the_error_is_the_largest_difference_over_the_largest_move_from_the_mean() -> None:
    reference = torch.tensor([[100.0, 7.0], [104.0, 7.0]])
    assert relative_error(reference, reference + torch.tensor([[0.0, 0.5], [0.0, 0.0]])) == 0.25


def test_a_tiny_error_passes_and_one_above_the_limit_does_not() -> None:
    reference = outputs()
    spread = float((reference - reference.mean(dim=0)).abs().max())
    assert 0 < relative_error(reference, reference + 1e-5) < MAX_ERROR
    assert relative_error(reference, reference + 1.1 * MAX_ERROR * spread) > MAX_ERROR


def test_a_network_that_ignores_its_input_is_caught() -> None:
    reference = outputs()
    assert relative_error(reference, reference.mean(dim=0).expand_as(reference)) > 0.9


def test_one_class_that_is_shifted_by_the_same_amount_for_all_inputs_is_caught() -> None:
    reference = outputs()
    shifted = reference.clone()
    shifted[:, 3] += 0.01 * 50
    assert relative_error(reference, shifted) > MAX_ERROR


def test_two_inputs_that_were_swapped_are_caught() -> None:
    reference = outputs()
    assert relative_error(reference, reference[[1, 0, *range(2, 8)]]) > 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_infinitely_wrong(value: float) -> None:
    reference, broken = outputs(), outputs()
    broken[2, 5] = value
    assert relative_error(reference, broken) == math.inf
    assert compare((reference,), (broken,)).unchecked == ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reference_that_is_not_finite_is_unchecked(value: float) -> None:
    reference, broken = outputs(), outputs()
    broken[2, 5] = value
    for found in (reference, broken):
        comparison = compare((broken,), (found,))
        assert "NaN or infinity" in comparison.unchecked
        assert comparison.agreement is None
        assert comparison.error == 0.0
    assert compare((broken,), (reference[:1],)).error == math.inf


def test_an_output_beside_one_that_is_not_finite_is_still_compared() -> None:
    reference, broken = outputs(), outputs()
    broken[2, 5] = math.nan
    assert compare((broken, reference), (broken, reference + 30)).error > 1


def test_another_shape_is_infinitely_wrong_even_where_it_would_broadcast() -> None:
    reference = outputs()
    for other in (reference[:1], reference[:, :1], reference[:, :, None]):
        assert relative_error(reference, other) == math.inf


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_a_reference_that_ignores_its_input_proves_nothing(noise: float) -> None:
    reference = torch.full((3, 5), 0.1, dtype=torch.float64)
    reference[0] += noise
    comparison = compare((reference,), (reference,))
    assert comparison.unchecked == "they hardly depend on the input"
    assert comparison.error == 0.0


def test_a_constant_that_is_another_one_is_shown_to_differ() -> None:
    reference = torch.full((3, 5), 0.1)
    assert relative_error(reference, reference * 1.5) == pytest.approx(0.5)
    assert relative_error(reference, reference * math.nan) == math.inf


def test_outputs_of_no_values_prove_nothing() -> None:
    assert compare((torch.ones(4, 0),), (torch.ones(4, 0),)).unchecked
    assert not compare((outputs(),), (outputs(),)).unchecked


def test_one_input_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least 2 inputs"):
        relative_error(outputs(1), outputs(1))


def test_half_precision_is_compared_in_double() -> None:
    reference = outputs()
    error = relative_error(reference, reference.bfloat16())
    assert error == relative_error(reference.double(), reference.bfloat16().double()) > 0


@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-10, 10), shift=st.floats(1e-4, 10))
def test_scale_and_common_offset_do_not_change_the_error(
    scale: float, offset: float, shift: float
) -> None:
    reference = outputs().double()
    wrong = reference.clone()
    wrong[4, 4] += shift
    error = relative_error(reference, wrong)
    assert relative_error(reference * scale + offset, wrong * scale + offset) == pytest.approx(
        error, rel=1e-6
    )


def test_the_worst_of_several_outputs_counts() -> None:
    reference = (outputs(), outputs(classes=7))
    off = (reference[0] + 1e-5, reference[1] + 0.5)
    comparison = compare(reference, off)
    assert comparison.error == relative_error(reference[1], off[1]) > 0.1
    assert comparison.compared == 8


def test_another_number_of_outputs_is_infinitely_wrong() -> None:
    one = outputs()
    assert compare((one, one), (one,)).error == math.inf
    assert compare((one,), (one, one)).error == math.inf


def test_integers_and_truth_values_must_be_equal() -> None:
    floats, labels = outputs(), torch.arange(8).view(8, 1)
    assert compare((floats, labels), (floats, labels.clone())).error == 0.0
    assert compare((floats, labels), (floats, labels + (labels == 7))).error == math.inf
    assert compare((floats, labels), (floats, labels.double())).error == math.inf
    assert compare((labels > 3,), (labels > 3,)).error == 0.0
    assert compare((labels > 3,), (labels > 4,)).error == math.inf


def test_an_output_that_never_moves_is_measured_by_its_size_beside_one_that_does() -> None:
    moving, constant = outputs(), torch.full((8, 3), 4.0)
    assert compare((moving, constant), (moving, constant + 0.5)).error == 0.125
    zero = torch.zeros(8, 3)
    assert compare((moving, zero), (moving, zero)).error == 0.0
    assert compare((moving, zero), (moving, zero + 1e-9)).error == math.inf


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_chunks_say_what_the_whole_says(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = sum(sizes) + 1
    reference = torch.randn(count, 40, generator=generator)
    found = reference + 0.3 * torch.randn(count, 40, generator=generator)
    comparer = Comparer()
    for expected, other in zip(
        torch.split(reference, [1, *sizes]), torch.split(found, [1, *sizes]), strict=True
    ):
        comparer.add((expected,), (other,))
    whole = compare((reference,), (found,))
    assert comparer.result().error == pytest.approx(whole.error, rel=1e-12)
    assert comparer.result().agreement == whole.agreement
    expected, other = reference.double(), found.double()
    scale = (expected - expected.mean(0)).abs().max()
    assert whole.error == pytest.approx(float((other - expected).abs().max() / scale), rel=1e-9)


def test_a_nan_in_a_later_chunk_is_not_forgotten() -> None:
    reference, broken = outputs(), outputs()
    broken[1, 1] = math.nan
    comparer = Comparer()
    for found in (reference, broken, reference):
        comparer.add((reference,), (found,))
    assert comparer.result().error == math.inf


def test_agreement_is_the_share_of_equal_top_1_classes() -> None:
    reference = torch.eye(40)
    found = reference.clone()
    found[:10] = reference[1:11]
    assert compare((reference,), (found,)).agreement == 0.75
    words = reference.view(2, 20, 40)
    assert compare((words,), (found.view(2, 20, 40),)).agreement == 0.75


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(torch.eye(19), id="too few classes"),
        pytest.param(torch.eye(40)[torch.arange(80) % 19], id="too few of them seen"),
        pytest.param(torch.randn(40, 2, 2, 40), id="no scores"),
        pytest.param(torch.arange(40), id="integers"),
    ],
)
def test_there_is_no_agreement_without_enough_classes(reference: torch.Tensor) -> None:
    assert compare((reference,), (reference,)).agreement is None
    assert compare((torch.eye(20),), (torch.eye(20),)).agreement == 1.0


def test_only_the_first_output_names_the_classes() -> None:
    few, many = outputs(40, 3), torch.eye(40)
    assert compare((few, many), (few, many)).agreement is None
    assert compare((many, few), (many, few)).agreement == 1.0
