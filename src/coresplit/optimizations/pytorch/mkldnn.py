"""Eager execution on oneDNN's own blocked tensors (torch.utils.mkldnn)."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import root_cause, without_deprecation
from coresplit.optimizations.pytorch.eager import TorchModel

_EXAMPLES = 2


@without_deprecation()
def prepare(request: PrepareRequest) -> CompiledModel:
    """Convert a copy of the module to oneDNN's layers; conversion modifies its argument.

    Raises PrepareFailed with the name of an operator that does not support oneDNN's tensors.
    """
    # its layers are script modules, which warn when they are defined
    from torch.utils.mkldnn import to_mkldnn  # noqa: PLC0415

    last = _LastOperator()  # type: ignore[no-untyped-call]
    try:
        with torch.no_grad():
            forward = _on_dense(to_mkldnn(copy.deepcopy(request.module)))  # type: ignore[no-untyped-call]
            with last:
                forward(*request.make_inputs(_EXAMPLES, 0))
    except Exception as error:
        raise PrepareFailed(
            f"operator {last.name} does not support oneDNN's tensors: {root_cause(error)}"
        ) from error
    return TorchModel(forward)


class _LastOperator(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the last operator that was called, which oneDNN's errors do not name."""

    name = "none"

    def __torch_dispatch__(
        self,
        func: "torch._ops.OpOverload",
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        self.name = func.name()  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def _on_dense(module: nn.Module) -> Callable[..., tuple[Tensor, ...]]:
    """Return the module as a function of dense tensors that converts inputs and outputs."""

    def forward(*inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = module(*(x.to_mkldnn() if x.is_floating_point() else x for x in inputs))
        several = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(each.to_dense() if each.is_mkldnn else each for each in several)

    return forward
