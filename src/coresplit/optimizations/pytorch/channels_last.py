"""Eager execution with images laid out as NHWC, which convolutions of oneDNN prefer."""

from itertools import chain
from typing import TYPE_CHECKING, Any

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

if TYPE_CHECKING:
    from torch import Tensor, nn

OPTIMIZATION = Optimization(
    name="channels_last",
    title="channels last",
    description="eager PyTorch with images and weights in NHWC; inputs are converted every time",
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The module with its weights in NHWC; inputs come as NCHW, and each forward converts them.

    Raises PrepareFailed for a model without images or convolutions over them.
    """
    from coresplit.optimizations.pytorch.callable import TorchPrepared  # noqa: PLC0415

    module = lay_out(request)

    def forward(*inputs: "Tensor") -> Any:  # noqa: ANN401 (whatever the module returns)
        return module(*to_nhwc(inputs))

    return TorchPrepared(forward, {"layout": "NHWC"})


def lay_out(request: PrepareRequest) -> "nn.Module":
    """Lay the weights of the module out as NHWC, in place: their values stay, and it stays usable.

    Raises PrepareFailed as ``prepare`` does.
    """
    import torch  # noqa: PLC0415

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


def to_nhwc(inputs: "tuple[Tensor, ...]") -> "tuple[Tensor, ...]":
    """The inputs, those of 4 dimensions laid out as NHWC."""
    import torch  # noqa: PLC0415

    return tuple(
        each.contiguous(memory_format=torch.channels_last) if each.ndim == 4 else each
        for each in inputs
    )
