"""OpenVINO in eight-bit integers, quantized by NNCF after training."""

import contextlib
import io
import logging
import os
from pathlib import Path
from typing import Any

from coresplit.optimizations.base import CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import disable_telemetry, versions
from coresplit.optimizations.openvino.runtime import OpenVinoModel, compiled

SAMPLES = 64
SEED = 8
_FILE = "model.xml"
_INT8 = ("i8", "u8")


def prepare(request: PrepareRequest) -> CompiledModel:
    """Quantize the model, keep it in the cache and compile it; other operators are float32.

    Raises PrepareFailed if no convolution or matrix product runs in int8.
    """
    folder = request.cache.get("int8", _key(request), lambda at: _quantize(request, at))
    return load(folder / _FILE, request.cpus)


def load(path: Path, cpus: tuple[int, ...]) -> OpenVinoModel:
    """Compile a quantized model for the CPU; raises PrepareFailed as ``prepare`` does."""
    prepared = compiled(path, cpus, "f32", loaded_by=f"{__name__}:load")
    prepared.facts["precision"] = "int8"
    prepared.state_operators("int8", _INT8)
    prepared.facts["calibration inputs"] = str(SAMPLES)
    return prepared


def _key(request: PrepareRequest) -> dict[str, str]:
    from coresplit.optimizations.onnx_export import export_key  # noqa: PLC0415 (imports torch)

    return {
        **export_key(request),
        **versions("openvino", "nncf"),
        "cpu": _capability(),
        "seed": str(SEED),
        "samples": str(SAMPLES),
        "overflow": "half the range of weights without VNNI",
    }


def _quantize(request: PrepareRequest, folder: Path) -> None:
    """Post-training static quantization of weights and activations (Jacob et al., 2018).

    Calibration inputs are generated like measured ones, from another seed. A model with integer
    inputs is treated as a transformer: NNCF then keeps its attention at higher precision.
    """
    disable_telemetry()
    import nncf  # noqa: PLC0415
    import openvino  # noqa: PLC0415

    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415 (imports torch)

    file = onnx_file(request)
    # OpenVINO's threads keep the affinity mask they started with
    os.sched_setaffinity(0, request.cpus)
    model = openvino.Core().read_model(file)
    text = any(each.dtype.startswith("int") for each in request.inputs)
    with _quiet(nncf):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(_samples(request)),
            subset_size=SAMPLES,
            model_type=nncf.ModelType.TRANSFORMER if text else None,
            advanced_parameters=_advanced(nncf, _capability()),
        )
    openvino.save_model(quantized, folder / _FILE, compress_to_fp16=False)


def _capability() -> str:
    import torch  # noqa: PLC0415

    return torch.backends.cpu.get_cpu_capability()


def _advanced(nncf: Any, capability: str) -> Any:  # noqa: ANN401 (its library has no types)
    """Halve the range of weights on CPUs without VNNI; otherwise NNCF's default.

    These CPUs add pairs of products in 16 bits, which saturates with the full range.
    """
    if capability not in ("AVX2", "DEFAULT"):
        return None
    return nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)


def _samples(request: PrepareRequest) -> list[list[Any]]:
    """Return inputs of batch 1 as lists of arrays, in the order of the model's inputs."""
    inputs = [tensor.numpy() for tensor in request.make_inputs(SAMPLES, SEED)]
    return [[array[i : i + 1] for array in inputs] for i in range(SAMPLES)]


@contextlib.contextmanager
def _quiet(nncf: Any) -> Any:  # noqa: ANN401 (its library has no types)
    """Hide the log and the progress bars that NNCF writes to stdout."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
