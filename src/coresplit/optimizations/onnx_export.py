"""The model as an ONNX file: the one the user gave, or an export of the module."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import PrepareRequest
from coresplit.optimizations.libraries import root_cause, versions

_FILE = "model.onnx"
_EXAMPLES = 2
_REGISTRATION = "torch.onnx._internal.exporter._registration"
_NOISE = (
    # torch 2.13 uses a class that it deprecates itself
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning),
    # every input names its first axis "batch", on purpose
    (r"# The axis name: batch will not be used", UserWarning),
)


def onnx_file(request: PrepareRequest) -> Path:
    """Return the model as an ONNX file with a dynamic batch; an export is kept in the cache.

    Raises PrepareFailed if the module cannot be exported with a dynamic batch.
    """
    if request.onnx is not None:
        return request.onnx
    return request.cache.get("onnx", export_key(request), lambda at: _export(request, at)) / _FILE


def export_key(request: PrepareRequest) -> dict[str, str]:
    """Return everything that an export depends on."""
    return {
        "identity": request.identity,
        "inputs": " ".join(map(str, request.inputs)),
        **versions("torch", "onnx", "onnxscript"),
    }


def _export(request: PrepareRequest, folder: Path) -> None:
    """Export with ``torch.export``; the first axes share one dynamic dimension.

    The example has two inputs, because an export of one would make the batch size a constant.
    """
    assert request.module is not None
    example = request.make_inputs(_EXAMPLES, 0)
    batch = torch.export.Dim("batch")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                request.module,
                example,
                dynamo=True,
                dynamic_shapes=_shapes(request.module, batch, len(example)),
                verbose=False,
            )
            assert program is not None
            # external weights, because a protobuf holds at most 2 GiB
            program.save(folder / _FILE, external_data=True)
    except Exception as error:
        raise PrepareFailed(f"the model cannot be exported to ONNX: {root_cause(error)}") from error


def _shapes(module: nn.Module, batch: object, count: int) -> tuple[object, ...]:
    """Return the dynamic first axis of every input, structured like ``forward``'s arguments."""
    shapes = tuple({0: batch} for _ in range(count))
    parameters = inspect.signature(module.forward).parameters.values()
    gathered = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    return (shapes,) if gathered else shapes


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide exporter messages that say nothing about the model."""
    logger = logging.getLogger(_REGISTRATION)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message, category in _NOISE:
                warnings.filterwarnings("ignore", message=message, category=category)
            yield
    finally:
        logger.setLevel(before)
