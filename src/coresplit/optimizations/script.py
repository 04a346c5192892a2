"""TorchScript: compiled to a graph, frozen, and optimized for inference on a CPU."""

from coresplit.errors import PrepareFailed
from coresplit.optimizations.quiet import without_deprecation
from coresplit.optimizations.record import Optimization, Prepared, Subject
from coresplit.optimizations.text import first_line

OPTIMIZATION = Optimization(
    name="script",
    title="TorchScript",
    description="torch.jit.script, frozen, batch norm folded, convolutions prepacked for oneDNN",
    packages=("torch",),
    extra="torch",
    module=__name__,
)


def prepare(subject: Subject) -> Prepared:
    """Script, freeze, optimize, and only then run.

    The order matters: a frozen module that runs before it is optimized keeps the graph of that
    run, and the gain is lost without a word. The result does not survive saving and loading.
    Raises PrepareFailed where the code of the module is not TorchScript.
    """
    import torch  # noqa: PLC0415

    from coresplit.optimizations.eager import TorchPrepared  # noqa: PLC0415

    assert subject.module is not None
    with without_deprecation():
        try:
            scripted = torch.jit.script(subject.module)
        except Exception as error:
            raise PrepareFailed(f"the model cannot be scripted: {first_line(error)}") from error
        return TorchPrepared(torch.jit.optimize_for_inference(torch.jit.freeze(scripted)))
