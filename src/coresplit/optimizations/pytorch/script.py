"""TorchScript: compiled to a graph, frozen, and optimized for inference on a CPU."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="script",
    title="TorchScript",
    description=(
        "torch.jit.script, or a trace where the code cannot be scripted; frozen, batch norm "
        "folded, convolutions prepacked for oneDNN"
    ),
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """Scripted where the code allows it, else traced; which of them is among the facts.

    Raises PrepareFailed, with both reasons, where neither works.
    """
    from coresplit.optimizations.pytorch.torchscript import scripted_or_traced  # noqa: PLC0415

    return scripted_or_traced(request)
