import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coresplit.optimizations import MAX_ERROR, relative_error


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
    assert relative_error(broken, reference) == math.inf
    assert relative_error(broken, broken) == math.inf


def test_another_shape_is_infinitely_wrong_even_where_it_would_broadcast() -> None:
    reference = outputs()
    for other in (reference[:1], reference[:, :1], reference[:, :, None]):
        assert relative_error(reference, other) == math.inf


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_a_reference_that_ignores_its_input_proves_nothing(noise: float) -> None:
    reference = torch.full((3, 5), 0.1, dtype=torch.float64)
    reference[0] += noise
    assert relative_error(reference, reference) == math.inf


def test_outputs_of_no_values_prove_nothing() -> None:
    assert relative_error(torch.ones(4, 0), torch.ones(4, 0)) == math.inf


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
