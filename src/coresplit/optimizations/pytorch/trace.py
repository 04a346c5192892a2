"""TorchScript from a trace of one forward, also of a module that could be scripted."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="trace",
    title="traced TorchScript",
    description=(
        "torch.jit.trace of one forward, then as script; the same as script where that is traced"
    ),
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """Traced; raises PrepareFailed where the trace does not hold for other batches."""
    from coresplit.optimizations.pytorch.torchscript import traced  # noqa: PLC0415

    return traced(request)
