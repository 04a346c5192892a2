"""OpenVINO in float32."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="openvino",
    title="OpenVINO",
    description="exported to ONNX, compiled by OpenVINO in float32",
    takes=("module", "onnx"),
    packages=("torch", "onnx", "onnxscript", "openvino"),
    extra="openvino",
    makes="export",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The model's ONNX file, compiled for the CPU."""
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415
    from coresplit.optimizations.openvino.runtime import compiled  # noqa: PLC0415

    return compiled(onnx_file(request), request.cpus, precision="f32")
