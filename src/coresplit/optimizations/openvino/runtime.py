"""OpenVINO in float32 and bfloat16, and how every OpenVINO model is compiled and run."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from coresplit.errors import PrepareFailed
from coresplit.optimizations.arrays import ArrayForward, ArrayModel, Arrays
from coresplit.optimizations.base import Artifact, CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import disable_telemetry

Precision = Literal["f32", "bf16"]

_TITLES = {"f32": "float32", "bf16": "bfloat16"}
_HEAVY = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")


def prepare_float32(request: PrepareRequest) -> CompiledModel:
    """Compile the model's ONNX file for the CPU."""
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415 (imports torch)

    return load_float32(onnx_file(request), request.cpus)


def prepare_bfloat16(request: PrepareRequest) -> CompiledModel:
    """Compile the model's ONNX file in bfloat16; inputs and outputs stay float32.

    Raises PrepareFailed if no convolution or matrix product runs in bfloat16.
    """
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415 (imports torch)

    return load_bfloat16(onnx_file(request), request.cpus)


def load_float32(path: Path, cpus: tuple[int, ...]) -> "OpenVinoModel":
    """Compile a model file for the CPU."""
    return compiled(path, cpus, "f32", loaded_by=f"{__name__}:load_float32")


def load_bfloat16(path: Path, cpus: tuple[int, ...]) -> "OpenVinoModel":
    """Compile a model file in bfloat16; raises PrepareFailed as ``prepare_bfloat16`` does."""
    prepared = compiled(path, cpus, "bf16", loaded_by=f"{__name__}:load_bfloat16")
    prepared.state_operators("bf16", ("bf16",))
    return prepared


class OpenVinoModel(ArrayModel):
    """A compiled model and the settings it reports; inputs and outputs are not copied."""

    def __init__(self, model: Any, precision: Precision, artifact: Artifact) -> None:  # noqa: ANN401
        from openvino import get_version  # noqa: PLC0415

        self._model = model
        self._artifact = artifact
        self.facts = {
            "library": f"OpenVINO {get_version().partition('-')[0]}",
            "precision": _TITLES[precision],
            "streams": str(model.get_property("NUM_STREAMS")),
        }

    @property
    def threads(self) -> int:
        """Threads of its single stream, as the compiled model reports them."""
        return int(self._model.get_property("INFERENCE_NUM_THREADS"))

    @property
    def artifact(self) -> Artifact:
        """The model file."""
        return self._artifact

    def state_operators(self, name: str, kinds: tuple[str, ...]) -> None:
        """Add to the facts how many convolutions and matrix products run in one of these types.

        Raises PrepareFailed if none does.
        """
        found: Counter[str] = Counter()
        for operator in self._model.get_runtime_model().get_ordered_ops():
            about = operator.get_rt_info()
            if about["layerType"].astype(str) in _HEAVY:
                found[about["runtimePrecision"].astype(str)] += 1
        running = sum(found[kind] for kind in kinds)
        if not running:
            raise PrepareFailed(
                f"none of this model's {found.total()} convolutions and matrix products runs in "
                f"{name}; use openvino instead"
            )
        self.facts[f"{name} operators"] = f"{running} of {found.total()}"

    def over(self, inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        """Return a forward on these arrays; each call overwrites the previous outputs."""
        if isinstance(like, _Forward):
            return _Forward(like.request, self._model, inputs)
        return _Forward(_Request(self._model.create_infer_request()), self._model, inputs)


class _Request:
    """An inference request with its working memory, and the forward whose inputs are set."""

    def __init__(self, request: Any) -> None:  # noqa: ANN401 (no type stubs)
        self.request = request
        self.user: _Forward | None = None


class _Forward:
    """Inputs that OpenVINO reads without owning them, and a request that forwards may share."""

    def __init__(self, request: _Request, model: Any, arrays: Arrays) -> None:  # noqa: ANN401
        from openvino import Tensor  # noqa: PLC0415

        self.request = request
        self._arrays = arrays
        tensors = [Tensor(array, shared_memory=True) for array in arrays]
        self._inputs = list(zip(model.inputs, tensors, strict=True))
        self._outputs = model.outputs

    def __call__(self) -> Arrays:
        request = self.request.request
        if self.request.user is not self:
            for port, tensor in self._inputs:
                request.set_tensor(port, tensor)
            self.request.user = self
        request.infer()
        return tuple(request.get_tensor(output).data for output in self._outputs)


def compiled(
    path: Path, cpus: tuple[int, ...], precision: Precision, *, loaded_by: str
) -> OpenVinoModel:
    """Compile a model file (ONNX or OpenVINO's own) for the CPU with a dynamic batch.

    ``loaded_by`` names the function that loads the model again.

    OpenVINO's threads return to the affinity mask they first started with whenever they begin to
    compute, so this binds the calling thread to ``cpus``. Raises PrepareFailed if a setting read
    back differs from the request, because OpenVINO silently changes the precision.
    """
    disable_telemetry()
    import openvino  # noqa: PLC0415

    os.sched_setaffinity(0, cpus)
    asked = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": len(cpus),
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": False,
    }
    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", asked)
    require_settings(model, asked)
    return OpenVinoModel(model, precision, Artifact(path=str(path), loaded_by=loaded_by))


def require_settings(model: Any, asked: Mapping[str, object]) -> None:  # noqa: ANN401
    """Read settings back from a compiled model; raise PrepareFailed if one differs."""
    for name, value in asked.items():
        found = model.get_property(name)
        if _text(found) != _text(value):
            raise PrepareFailed(_mismatch(name, _text(value), _text(found)))


def _text(value: object) -> str:
    """Return a property as text, for OpenVINO's types their short name (not ``<Type: ...>``)."""
    named = getattr(value, "to_string", None)
    return str(named() if named is not None else value)


def _mismatch(name: str, asked: str, found: str) -> str:
    if name == "INFERENCE_PRECISION_HINT" and asked == "bf16":
        return (
            f"OpenVINO runs in {found} instead of bf16: this CPU has no bfloat16 "
            "(avx512_bf16 or amx_bf16 in the flags of /proc/cpuinfo)"
        )
    return f"OpenVINO reports {name} {found} instead of {asked}"
