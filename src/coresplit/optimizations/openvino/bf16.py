"""OpenVINO in bfloat16: half the bytes of float32 and, with the right units, twice the speed."""

from coresplit.optimizations.base import CompiledModel, Optimization, PrepareRequest

OPTIMIZATION = Optimization(
    name="bf16",
    title="OpenVINO bfloat16",
    description="as openvino, in bfloat16; needs a CPU with avx512_bf16 or amx_bf16",
    lossy=True,
    takes=("module", "onnx"),
    packages=("torch", "onnx", "onnxscript", "openvino"),
    extra="openvino",
    makes="export",
    module=__name__,
)


def prepare(request: PrepareRequest) -> CompiledModel:
    """The model's ONNX file, compiled for the CPU; inputs and outputs stay float32.

    Raises PrepareFailed where no convolution or matrix product runs in bfloat16.
    """
    from coresplit.optimizations.onnx_export import onnx_file  # noqa: PLC0415
    from coresplit.optimizations.openvino.runtime import compiled  # noqa: PLC0415

    prepared = compiled(onnx_file(request), request.cpus, precision="bf16")
    prepared.state_operators("bf16", ("bf16",))
    return prepared
