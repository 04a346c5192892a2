"""OpenVINO in eight-bit integers, quantized by NNCF after training."""

import contextlib
import io
import logging
import os
from pathlib import Path
from typing import Any

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="int8",
    title="OpenVINO int8",
    description="as openvino, quantized to int8 by NNCF with 64 inputs to calibrate on",
    lossy=True,
    takes=("module", "onnx"),
    packages=("torch", "onnx", "onnxscript", "openvino", "nncf"),
    extra="int8",
    makes="quantized",
    module=__name__,
)

SAMPLES = 64
SEED = 8
_FILE = "model.xml"
_INT8 = ("i8", "u8")


def prepare(request: PrepareRequest) -> CompiledModel:
    """The quantized model, kept in the cache, compiled for the CPU; the rest of it is float32.

    Raises PrepareFailed where no convolution or matrix product runs in int8.
    """
    from coresplit.optimizations.openvino.runtime import compiled  # noqa: PLC0415

    folder = request.cache.get("int8", _key(request), lambda at: _quantize(request, at))
    prepared = compiled(folder / _FILE, request.cpus, precision="f32")
    prepared.facts["precision"] = "int8"
    prepared.state_operators("int8", _INT8)
    prepared.facts["calibration inputs"] = str(SAMPLES)
    return prepared


def _key(request: PrepareRequest) -> dict[str, str]:
    import torch  # noqa: PLC0415

    from coresplit.optimizations.libraries import versions  # noqa: PLC0415
    from coresplit.optimizations.onnx_export import export_key  # noqa: PLC0415

    return {
        **export_key(request),
        **versions("openvino", "nncf"),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "seed": str(SEED),
        "samples": str(SAMPLES),
        "overflow": "half the range of weights without VNNI",
    }


def _quantize(request: PrepareRequest, folder: Path) -> None:
    """Post-training static quantization of weights and activations (Jacob et al., 2018).

    The inputs to calibrate on are seeded like those that are measured, with another seed. A model
    of integer inputs is taken for a transformer, whose attention NNCF then leaves more precise.
    """
    from coresplit.optimizations.libraries import disable_telemetry  # noqa: PLC0415
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415

    disable_telemetry()
    import nncf  # noqa: PLC0415
    import openvino  # noqa: PLC0415
    import torch  # noqa: PLC0415

    file = onnx_file(request)
    # as runtime.compiled does, and for its reason
    os.sched_setaffinity(0, request.cpus)
    model = openvino.Core().read_model(file)
    text = any(each.dtype.startswith("int") for each in request.inputs)
    with _quiet(nncf):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(_samples(request)),
            subset_size=SAMPLES,
            model_type=nncf.ModelType.TRANSFORMER if text else None,
            advanced_parameters=_advanced(nncf, torch.backends.cpu.get_cpu_capability()),
        )
    openvino.save_model(quantized, folder / _FILE, compress_to_fp16=False)


def _advanced(nncf: Any, capability: str) -> Any:  # noqa: ANN401 (its library has no types)
    """Half the range of weights where sums of products would overflow; else the library's choice.

    Processors without VNNI add pairs of products in 16 bits, which saturate with the full range.
    """
    if capability not in ("AVX2", "DEFAULT"):
        return None
    return nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)


def _samples(request: PrepareRequest) -> list[list[Any]]:
    """Inputs of batch 1 as lists of arrays, in the order of the model's inputs."""
    inputs = [tensor.numpy() for tensor in request.make_inputs(SAMPLES, SEED)]
    return [[array[i : i + 1] for array in inputs] for i in range(SAMPLES)]


@contextlib.contextmanager
def _quiet(nncf: Any) -> Any:  # noqa: ANN401 (its library has no types)
    """Without the log and the progress bars that NNCF writes to stdout."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
