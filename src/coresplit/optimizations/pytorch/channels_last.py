"""Eager execution with images laid out as NHWC, which convolutions of oneDNN prefer."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, PrepareRequest
from coresplit.optimizations.pytorch.eager import TorchModel

FACTS = {"layout": "NHWC"}


def prepare(request: PrepareRequest) -> CompiledModel:
    """The module with its weights in NHWC; inputs come as NCHW, and each forward converts them.

    Raises PrepareFailed for a model without images or convolutions over them.
    """
    return TorchModel(on_nhwc(lay_out(request)), FACTS)


def on_nhwc(module: nn.Module) -> Callable[..., Any]:
    """The module as a function that lays its images out as NHWC first."""

    def forward(*inputs: Tensor) -> Any:  # noqa: ANN401 (whatever the module returns)
        return module(*map(_to_nhwc, inputs))

    return forward


def lay_out(request: PrepareRequest) -> nn.Module:
    """Lay the weights of the module out as NHWC, in place: their values stay, and it stays usable.

    Raises PrepareFailed as ``prepare`` does.
    """
    module = request.module
    assert module is not None
    weights = [each for each in chain(module.parameters(), module.buffers()) if each.ndim == 4]
    if not weights or all(len(each.shape) != 3 for each in request.inputs):
        raise PrepareFailed(
            "this model has no input or no weight of 4 dimensions, so there is no channel "
            "to put last"
        )
    for weight in weights:
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def _to_nhwc(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
