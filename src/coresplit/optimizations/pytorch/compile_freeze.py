"""torch.compile with constant weights and images laid out as NHWC."""

from typing import TYPE_CHECKING, Any

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

if TYPE_CHECKING:
    from torch import Tensor

OPTIMIZATION = Optimization(
    name="compile_freeze",
    title="torch.compile, frozen",
    description="torch.compile (inductor) with weights frozen in, images and weights in NHWC",
    packages=("torch",),
    extra="torch",
    programs=("g++",),
    makes="compiled",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The module in NHWC, if it has images, compiled with its weights as constants."""
    from coresplit.optimizations.pytorch.channels_last import lay_out, to_nhwc  # noqa: PLC0415
    from coresplit.optimizations.pytorch.inductor import compiled  # noqa: PLC0415

    module = request.module
    assert module is not None
    try:
        lay_out(request)
    except PrepareFailed:
        return compiled(request, module, freezing=True, facts={"weights": "frozen"})

    def forward(*inputs: "Tensor") -> Any:  # noqa: ANN401 (whatever the module returns)
        return module(*to_nhwc(inputs))

    return compiled(request, forward, freezing=True, facts={"weights": "frozen", "layout": "NHWC"})
