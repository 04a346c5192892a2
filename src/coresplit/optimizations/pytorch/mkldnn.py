"""Eager execution on oneDNN's own blocked tensors (torch.utils.mkldnn)."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="mkldnn",
    title="oneDNN tensors",
    description="torch.utils.mkldnn.to_mkldnn; few operators take its tensors",
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """A copy of the module with oneDNN's layers.

    Raises PrepareFailed where the model has an operator that does not take oneDNN's tensors.
    """
    from coresplit.optimizations.pytorch.blocked import prepared  # noqa: PLC0415

    return prepared(request)
