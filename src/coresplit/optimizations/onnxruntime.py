"""ONNX Runtime on its own CPU kernels."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, Forward, PrepareRequest
from coresplit.optimizations.libraries import disable_telemetry
from coresplit.optimizations.onnx_export import onnx_file

_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class OnnxRuntimeModel:
    """A session and the settings it reports; inputs are not copied."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 (no type stubs)
        import onnxruntime  # noqa: PLC0415

        self._session = session
        self._inputs = [each.name for each in session.get_inputs()]
        self._options = session.get_session_options()
        self.facts = {
            "library": f"ONNX Runtime {onnxruntime.__version__}",
            "provider": " ".join(session.get_providers()),
            "inter-op threads": str(self._options.inter_op_num_threads),
            "spinning": "threads spin while a forward runs, and sleep after it",
        }

    @property
    def threads(self) -> int:
        """Intra-op threads that the session reports."""
        return int(self._options.intra_op_num_threads)

    def bind(self, inputs: tuple[Tensor, ...], like: Forward | None = None) -> Forward:
        """One forward over these tensors, in the order of the graph's inputs."""
        run = self._session.run
        feed = {
            name: tensor.contiguous().numpy()
            for name, tensor in zip(self._inputs, inputs, strict=True)
        }

        def forward() -> tuple[Tensor, ...]:
            return tuple(map(_tensor, run(None, feed)))

        return forward


def _tensor(output: NDArray[Any]) -> Tensor:
    # numpy has two types of 64 bits without a sign, and torch takes the other one
    return torch.from_numpy(output.view(np.uint64) if output.dtype == np.uint64 else output)


def prepare(request: PrepareRequest) -> CompiledModel:
    """A session over the model's ONNX file."""
    return session_of(request, str(onnx_file(request)), optimized=True)


def session_of(request: PrepareRequest, path: str, *, optimized: bool) -> OnnxRuntimeModel:
    """A session over one file, with all graph optimizations or with none.

    Raises PrepareFailed if the session does not run on the CPU provider.
    """
    disable_telemetry()
    import onnxruntime  # noqa: PLC0415

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    )
    options.log_severity_level = _ERRORS_ONLY
    # as fast as spinning on, and neighbours have the cores between forwards
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=[_PROVIDER])
    if session.get_providers() != [_PROVIDER]:
        raise PrepareFailed(f"ONNX Runtime chose {session.get_providers()}, not {_PROVIDER}")
    return OnnxRuntimeModel(session)
