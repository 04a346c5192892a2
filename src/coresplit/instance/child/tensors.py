"""Between a model that computes on PyTorch's tensors and a server that has numpy's arrays."""

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
    """Makes forwards over arrays, whose results are of the types of ``outputs``."""
    if isinstance(prepared, ArrayModel):
        return prepared.over
    names = tuple(each.dtype for each in outputs)

    def bind(inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        same = like.forward if isinstance(like, _OverArrays) else None
        return _OverArrays(prepared.bind(tuple(map(torch.from_numpy, inputs)), like=same), names)

    return bind


def described(names: Sequence[str], outputs: Sequence[Tensor]) -> tuple[ModelOutput, ...]:
    """What is known of outputs [N, ...]: their names are ``names`` or, without any, numbers."""
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
    """The elements of a tensor, where they lie unless they have yet to be computed."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if str(plain.dtype).removeprefix("torch.") not in DTYPES:
        plain = plain.contiguous().view(getattr(torch, stored.name))
    found: NDArray[Any] = plain.numpy()
    return found
