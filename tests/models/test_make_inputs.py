import re

import msgspec
import pytest
import torch
from torch import Tensor

from coresplit.errors import UsageError
from coresplit.models.inputs import generate, structured_images
from coresplit.records import ModelInput


def test_inputs_are_float32_images_of_about_unit_variance() -> None:
    images = structured_images(32, 100, seed=0)
    assert images.shape == (32, 3, 100, 100)
    assert images.dtype == torch.float32
    assert abs(float(images.mean())) < 0.2
    assert 0.5 < float(images.std()) < 1.5
    assert float(images.abs().max()) < 20


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others() -> None:
    assert torch.equal(structured_images(3, 75, seed=4), structured_images(3, 75, seed=4))
    assert not torch.equal(structured_images(3, 75, seed=4), structured_images(3, 75, seed=5))


def test_the_first_inputs_do_not_depend_on_the_batch() -> None:
    assert torch.equal(structured_images(40, 75, seed=0)[:3], structured_images(3, 75, seed=0))


def test_a_large_batch_holds_no_input_twice() -> None:
    images = structured_images(1024, 75, seed=0)
    assert len(torch.unique(images[:, :, ::16, ::16].flatten(1), dim=0)) == 1024


def test_no_input_is_flat_and_neighbouring_pixels_are_alike() -> None:
    images = structured_images(64, 224, seed=0)
    deviations = images.flatten(2).std(dim=2).amax(dim=1)
    assert float(deviations.min()) > 0.1
    steps = (images[..., 1:] - images[..., :-1]).square().mean()
    assert float(steps) < 0.25 * float(images.var())


SHARED = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]


def wanted(**fields: object) -> ModelInput:
    return msgspec.convert({"name": "x", "shape": (4, 5)} | fields, ModelInput)


def one(batch: int = 3, seed: int = 0, **fields: object) -> Tensor:
    return generate([wanted(**fields)], batch, seed)[0]


@pytest.mark.parametrize("dtype", SHARED)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (17,), (4, 5), (3, 6, 9), (2, 3, 4, 5)])
def test_every_type_and_shape_is_seeded_and_independent_of_the_batch(
    dtype: str, shape: tuple[int, ...]
) -> None:
    many = one(batch=9, seed=4, shape=shape, dtype=dtype)
    assert many.shape == (9, *shape)
    assert str(many.numpy().dtype) == dtype
    assert torch.equal(many, one(batch=9, seed=4, shape=shape, dtype=dtype))
    assert torch.equal(many[:2], one(batch=2, seed=4, shape=shape, dtype=dtype))


@pytest.mark.parametrize("dtype", [name for name in SHARED if name != "bool"])
def test_another_seed_gives_other_inputs_of_every_type(dtype: str) -> None:
    first, second = (one(seed=seed, shape=(64,), dtype=dtype) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_three_channels_are_images_and_need_not_be_square() -> None:
    wide = one(batch=8, shape=(3, 40, 90))
    assert float((wide[..., 1:] - wide[..., :-1]).square().mean()) < 0.25 * float(wide.var())
    assert torch.equal(one(shape=(3, 75, 75)), structured_images(3, 75, seed=0))
    half = one(shape=(3, 75, 75), dtype="float16")
    assert torch.equal(half, structured_images(3, 75, seed=0).half())


def test_other_floats_are_normal() -> None:
    values = one(batch=64, shape=(4, 40, 40))
    assert abs(float(values.mean())) < 0.02
    assert float(values.std()) == pytest.approx(1, abs=0.02)


def test_integers_fill_their_range_and_nothing_else() -> None:
    values = one(batch=200, dtype="int64", low=-2, high=3)
    assert sorted(set(values.flatten().tolist())) == [-2, -1, 0, 1, 2, 3]
    assert set(one(dtype="int32", low=7, high=7).flatten().tolist()) == {7}


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64"])
def test_without_a_range_integers_are_zero_or_one(dtype: str) -> None:
    assert set(one(batch=50, dtype=dtype).to(torch.int64).flatten().tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"dtype": "int8", "high": 200},
            "0 to 200 is not a valid range of int8; use numbers from -128 to",
        ),
        (
            {"dtype": "uint8", "low": -1},
            "-1 to 1 is not a valid range of uint8; use numbers from 0 to 255",
        ),
        ({"dtype": "int64", "low": 3, "high": 2}, "3 to 2 is not a valid range of int64"),
        (
            {"dtype": "bool", "high": 2},
            "0 to 2 is not a valid range of bool; use numbers from 0 to 1",
        ),
        ({"dtype": "bfloat16"}, "unknown type 'bfloat16'; use one of bool, int8"),
        ({"dtype": "nn"}, "unknown type 'nn'"),
    ],
)
def test_a_type_or_range_that_cannot_be_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"input 'x': {said}")):
        generate([wanted(**fields)], 3, 0)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_the_largest_numbers_can_be_drawn(dtype: str) -> None:
    most = 2**63 - 2
    assert set(one(dtype=dtype, low=most, high=most).to(torch.int64).flatten().tolist()) == {most}


def test_two_inputs_of_a_model_differ_and_the_second_does_not_repeat_a_seed() -> None:
    pair = [ModelInput(name=name, shape=(9,)) for name in ("a", "b")]
    first, second = generate(pair, 3, 0)
    assert not torch.equal(first, second)
    assert not torch.equal(second, generate(pair, 3, 1)[0])
    largest = generate(pair, 3, 2**63 - 1)
    assert not torch.equal(largest[0], largest[1])
