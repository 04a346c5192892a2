"""Eager execution with images in NHWC layout, which oneDNN's convolutions prefer."""

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
    """Return the module with its weights in NHWC; each forward converts its NCHW inputs.

    Raises PrepareFailed for a model without 4-dimensional inputs and weights.
    """
    return TorchModel(on_nhwc(lay_out(request)), FACTS)


def on_nhwc(module: nn.Module) -> Callable[..., Any]:
    """Return the module as a function that first converts its images to NHWC."""

    def forward(*inputs: Tensor) -> Any:  # noqa: ANN401 (whatever the module returns)
        return module(*map(_to_nhwc, inputs))

    return forward


def lay_out(request: PrepareRequest) -> nn.Module:
    """Convert the weights of the module to NHWC in place; their values do not change.

    Raises PrepareFailed as ``prepare`` does.
    """
    module = request.module
    assert module is not None
    weights = [each for each in chain(module.parameters(), module.buffers()) if each.ndim == 4]
    if not weights or all(len(each.shape) != 3 for each in request.inputs):
        raise PrepareFailed(
            "this model has no 4-dimensional input or weight, so channels_last does not apply"
        )
    for weight in weights:
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def _to_nhwc(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
