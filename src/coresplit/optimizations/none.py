"""Eager execution as it comes: the reference that all others are compared with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from coresplit.optimizations.record import Optimization

if TYPE_CHECKING:
    from torch import Tensor, nn

OPTIMIZATION = Optimization(
    name="none",
    title="eager",
    description="PyTorch as it comes, layer by layer, in inference mode",
    lossy=False,
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(module: "nn.Module", example: "Tensor") -> "Callable[[Tensor], Tensor]":
    """The module itself in inference mode; run once on ``example``."""
    import torch  # noqa: PLC0415

    @torch.inference_mode()
    def forward(inputs: "Tensor") -> "Tensor":
        outputs: Tensor = module(inputs)
        return outputs

    forward(example)
    return forward
