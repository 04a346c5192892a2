"""ONNX Runtime with its own CPU kernels."""

from pathlib import Path
from typing import Any

from coresplit.errors import PrepareFailed
from coresplit.optimizations.arrays import ArrayForward, ArrayModel, Arrays
from coresplit.optimizations.base import Artifact, CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import disable_telemetry

_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class OnnxRuntimeModel(ArrayModel):
    """A session and the settings it reports; inputs are not copied."""

    def __init__(self, session: Any, path: Path) -> None:  # noqa: ANN401 (no type stubs)
        import onnxruntime  # noqa: PLC0415

        self._session = session
        self._path = path
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

    @property
    def artifact(self) -> Artifact:
        """The model file."""
        return Artifact(path=str(self._path), loaded_by=f"{__name__}:load")

    def over(self, inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        """Return a forward on these arrays, in the order of the graph's inputs."""
        run = self._session.run
        feed = dict(zip(self._inputs, inputs, strict=True))
        return lambda: tuple(run(None, feed))


def prepare(request: PrepareRequest) -> CompiledModel:
    """Open a session with the model's ONNX file."""
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415 (imports torch)

    return load(onnx_file(request), request.cpus)


def load(path: Path, cpus: tuple[int, ...]) -> OnnxRuntimeModel:
    """Open a session with a model file and all graph optimizations."""
    return session_of(path, len(cpus), optimized=True)


def session_of(path: Path, threads: int, *, optimized: bool) -> OnnxRuntimeModel:
    """Open a session with a model file and all graph optimizations or none.

    Raises PrepareFailed if the session does not run on the CPU provider.
    """
    disable_telemetry()
    import onnxruntime  # noqa: PLC0415

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    )
    options.log_severity_level = _ERRORS_ONLY
    # as fast as continuous spinning, but frees the cores between forwards
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=[_PROVIDER])
    if session.get_providers() != [_PROVIDER]:
        raise PrepareFailed(f"ONNX Runtime chose {session.get_providers()}, not {_PROVIDER}")
    return OnnxRuntimeModel(session, path)
