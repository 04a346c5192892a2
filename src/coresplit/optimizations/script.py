"""TorchScript: compiled to a graph, frozen, and optimized for inference on a CPU."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from coresplit.optimizations.record import Optimization

if TYPE_CHECKING:
    from torch import Tensor, nn

OPTIMIZATION = Optimization(
    name="script",
    title="TorchScript",
    description="torch.jit.script, frozen, batch norm folded, convolutions prepacked for oneDNN",
    lossy=False,
    packages=("torch",),
    extra="torch",
    module=__name__,
)

_DEPRECATION = r"`torch\.jit\.\w+` is (deprecated|not supported)"


def prepare(module: "nn.Module", example: "Tensor") -> "Callable[[Tensor], Tensor]":
    """Script, freeze, optimize, and only then run on ``example``.

    The order matters: a frozen module that runs before it is optimized keeps the graph of that
    run, and the gain is lost without a word. The result does not survive saving and loading.
    """
    import torch  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_DEPRECATION, category=DeprecationWarning)
        frozen = torch.jit.freeze(torch.jit.script(module))
        optimized = torch.jit.optimize_for_inference(frozen)

    @torch.inference_mode()
    def forward(inputs: "Tensor") -> "Tensor":
        outputs: Tensor = optimized(inputs)
        return outputs

    forward(example)
    return forward
