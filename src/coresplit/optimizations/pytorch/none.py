"""Eager execution as it comes: the reference that all others are compared with."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="none",
    title="eager",
    description="PyTorch as it comes, layer by layer, in inference mode",
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The module itself."""
    from coresplit.optimizations.pytorch.callable import TorchPrepared  # noqa: PLC0415

    assert request.module is not None
    return TorchPrepared(request.module)
