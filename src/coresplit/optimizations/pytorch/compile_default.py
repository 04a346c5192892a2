"""torch.compile with its default backend, inductor."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="compile",
    title="torch.compile",
    description="torch.compile (inductor), compiled once for all batches",
    packages=("torch",),
    extra="torch",
    programs=("g++",),
    makes="compiled",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The module, compiled."""
    from coresplit.optimizations.pytorch.inductor import compiled  # noqa: PLC0415

    assert request.module is not None
    return compiled(request, request.module, freezing=False, facts={})
