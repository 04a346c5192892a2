"""Inputs of the model ``simple`` in the words of tritonclient, and the check of its answers."""

from typing import Any

import numpy as np
from servers import Array
from tritonclient import http
from tritonclient.utils import np_to_triton_dtype

CODINGS = (None, "gzip", "deflate")


def given(name: str, array: Array, binary: bool = True) -> http.InferInput:
    """An input of a request."""
    found = http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def two(first: Array, second: Array, *binary: bool) -> list[http.InferInput]:
    """The inputs of ``simple``."""
    ways = binary or (True, True)
    return [given("INPUT0", first, ways[0]), given("INPUT1", second, ways[-1])]


def rows(seed: int, count: int = 1) -> tuple[Array, Array]:
    """Two inputs of ``simple`` with values of their own."""
    dice = np.random.default_rng(seed)
    shape = (count, 16)
    return dice.integers(-999, 999, shape, np.int32), dice.integers(-999, 999, shape, np.int32)


def check(answer: Any, first: Array, second: Array) -> None:  # noqa: ANN401
    assert np.array_equal(answer.as_numpy("OUTPUT0"), first + second)
    assert np.array_equal(answer.as_numpy("OUTPUT1"), first - second)
