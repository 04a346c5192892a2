"""Adapt a model that computes on PyTorch tensors to a server that uses numpy arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coresplit.instance.child.serving import stored_as
from coresplit.models.input_spec import DTYPES
from coresplit.optimizations import CompiledModel, Forward
from coresplit.optimizations.arrays import ArrayForward, ArrayModel, Arrays, Bind
from coresplit.records import ModelOutput


def over_arrays(prepared: CompiledModel, outputs: Sequence[ModelOutput]) -> Bind:
    """Return a function that makes forwards on arrays, with results of the ``outputs`` types."""
    if isinstance(prepared, ArrayModel):
        return prepared.over
    names = tuple(each.dtype for each in outputs)

    def bind(inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        same = like.forward if isinstance(like, _OverArrays) else None
        return _OverArrays(prepared.bind(tuple(map(torch.from_numpy, inputs)), like=same), names)

    return bind


def described(names: Sequence[str], outputs: Sequence[Tensor]) -> tuple[ModelOutput, ...]:
    """Describe outputs [N, ...]; without ``names`` they are called output, or numbered."""
    if not names:
        several = len(outputs) > 1
        names = [f"output_{n}" if several else "output" for n in range(len(outputs))]
    return tuple(
        ModelOutput(
            name=name,
            shape=tuple(output.shape[1:]),
            dtype=str(output.dtype).removeprefix("torch."),
        )
        for name, output in zip(names, outputs, strict=True)
    )


class _OverArrays:
    def __init__(self, forward: Forward, names: Sequence[str]) -> None:
        self.forward = forward
        self._types = tuple((getattr(torch, name), stored_as(name)) for name in names)

    def __call__(self) -> Arrays:
        return tuple(
            _array(output.to(dtype), stored)
            for output, (dtype, stored) in zip(self.forward(), self._types, strict=True)
        )


def _array(tensor: Tensor, stored: "np.dtype[Any]") -> NDArray[Any]:
    """Return the elements of a tensor, without a copy unless they must be computed first."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if str(plain.dtype).removeprefix("torch.") not in DTYPES:
        plain = plain.contiguous().view(getattr(torch, stored.name))
    found: NDArray[Any] = plain.numpy()
    return found
