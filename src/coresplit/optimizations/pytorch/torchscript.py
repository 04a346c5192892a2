"""TorchScript, scripted or traced: frozen, and optimized for inference on a CPU."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import Artifact, CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import root_cause, without_deprecation
from coresplit.optimizations.pytorch.eager import TorchModel

if TYPE_CHECKING:
    from torch import Tensor

MADE = "torchscript"
"""Name of the fact that says how the TorchScript was made."""

_FILE = "model.pt"
_TRACED_BATCH = 2
_OTHER_BATCHES = (1, 5)
_CLOSE = 1e-3


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings that TorchScript itself causes."""
    with without_deprecation():
        # scripting reads every property of a module, even deprecated ones
        warnings.simplefilter("ignore", category=FutureWarning)
        # outputs are compared below, which shows what a trace misses
        warnings.simplefilter("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield


@_quiet()
def scripted_or_traced(request: PrepareRequest) -> CompiledModel:
    """Script the module, or trace it if its code cannot be scripted.

    A module that is already TorchScript is used unchanged. Raises PrepareFailed with both reasons
    if neither works.
    """
    if isinstance(request.module, torch.jit.ScriptModule):
        return _made(request, request.module, "as it came")
    try:
        scripted = torch.jit.script(request.module)
    except Exception as error:
        unscripted = root_cause(error)
    else:
        return _made(request, scripted, "scripted")
    try:
        return traced(request)
    except PrepareFailed as untraced:
        raise PrepareFailed(
            f"the model cannot be scripted ({unscripted}), and {untraced}"
        ) from untraced


@_quiet()
def traced(request: PrepareRequest) -> CompiledModel:
    """Trace one forward of two inputs, and check it with other inputs and batch sizes.

    Raises PrepareFailed if the module cannot be traced, or if the outputs of the trace differ: a
    trace records only one path of code that branches on the batch size or on values.
    """
    assert request.module is not None
    example = request.make_inputs(_TRACED_BATCH, 0)
    try:
        with torch.no_grad():
            module = torch.jit.trace(request.module, example, check_trace=False)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise PrepareFailed(f"the model cannot be traced: {root_cause(error)}") from error
    for batch in _OTHER_BATCHES:
        if (why := _differs(request, module, batch)) is not None:
            raise PrepareFailed(
                f"the model cannot be traced: a trace of {_TRACED_BATCH} inputs is wrong for "
                f"{batch} ({why}), so its code depends on the batch size or on input values"
            )
    return _made(request, module, "traced")


@_quiet()
def load(path: Path, cpus: tuple[int, ...]) -> CompiledModel:
    """Load TorchScript that another instance has stored, and optimize it."""
    torch.set_num_threads(len(cpus))
    torch.set_num_interop_threads(1)
    return TorchModel(_optimized(torch.jit.load(path)))  # type: ignore[no-untyped-call]


def _made(request: PrepareRequest, module: Any, made: str) -> CompiledModel:  # noqa: ANN401
    artifact = _stored(request, module, made) if request.others else None
    return TorchModel(_optimized(module), {MADE: made}, artifact)


def _optimized(module: Any) -> Any:  # noqa: ANN401 (jit has no types)
    """Freeze, optimize, and only then run.

    The order matters: a frozen module that runs before it is optimized keeps the graph of that
    run, and silently loses the gain. The result does not survive saving and loading.
    """
    return torch.jit.optimize_for_inference(torch.jit.freeze(module))


def _stored(request: PrepareRequest, module: Any, made: str) -> Artifact | None:  # noqa: ANN401
    """Store TorchScript for others; None if that is impossible, which is no reason to fail."""

    def save(folder: Path) -> None:
        torch.jit.save(module, str(folder / _FILE))

    with suppress(Exception):
        # equal weights and outputs do not mean equal code
        code = hashlib.sha256(str(module.inlined_graph).encode()).hexdigest()
        about = {"made": made, "code": code, "torch": str(torch.__version__)}
        path = request.cache.get("torchscript", {"model": request.identity, **about}, save) / _FILE
        return Artifact(path=str(path), loaded_by=f"{__name__}:load")
    return None


def _differs(request: PrepareRequest, module: Any, batch: int) -> str | None:  # noqa: ANN401
    """Return how a trace differs from the module for a batch size; None if it does not.

    A batch size that the module itself does not support is not compared.
    """
    inputs = request.make_inputs(batch, batch)
    assert request.module is not None
    with torch.inference_mode():
        try:
            expected = _several(request.module(*inputs))
        except Exception:
            return None
        try:
            found = _several(module(*inputs))
        except Exception as error:
            return root_cause(error)
    if [each.shape for each in found] != [each.shape for each in expected]:
        return f"outputs of shape {[list(each.shape) for each in found]}"
    alike = all(map(_alike, expected, found))
    return None if alike else "outputs differ from eager"


def _several(outputs: Any) -> "tuple[Tensor, ...]":  # noqa: ANN401 (whatever the module returns)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _alike(expected: "Tensor", found: "Tensor") -> bool:
    """True if equal except for rounding, relative to the largest value."""
    if not expected.is_floating_point():
        return torch.equal(expected, found)
    finite = expected[expected.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(expected, found, rtol=_CLOSE, atol=_CLOSE * scale, equal_nan=True)
