"""TorchScript from a trace of one forward: what script.py does for code it cannot read."""

import warnings

from coresplit.errors import PrepareFailed
from coresplit.optimizations.quiet import without_deprecation
from coresplit.optimizations.record import Optimization, Prepared, Subject
from coresplit.optimizations.text import first_line

OPTIMIZATION = Optimization(
    name="trace",
    title="traced TorchScript",
    description="torch.jit.trace of one forward, then frozen and optimized as script is",
    packages=("torch",),
    extra="torch",
    module=__name__,
)

_EXAMPLES = 2


def prepare(subject: Subject) -> Prepared:
    """Trace, freeze, optimize, and only then run; the order matters as in ``script``.

    The trace keeps the path that two inputs took, so that a batch that was taken for a constant
    shows when other batches are compared. Raises PrepareFailed where the module cannot be traced.
    """
    import torch  # noqa: PLC0415

    from coresplit.optimizations.eager import TorchPrepared  # noqa: PLC0415

    assert subject.module is not None
    example = subject.make_inputs(_EXAMPLES, 0)
    with without_deprecation():
        # what a trace leaves out is found by comparing outputs, not by guessing from the code
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        try:
            with torch.no_grad():
                traced = torch.jit.trace(subject.module, example, check_trace=False)  # type: ignore[no-untyped-call]
        except Exception as error:
            raise PrepareFailed(f"the model cannot be traced: {first_line(error)}") from error
        return TorchPrepared(torch.jit.optimize_for_inference(torch.jit.freeze(traced)))
