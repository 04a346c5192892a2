"""The two servers that ``oracle.py`` compares, with the same models in both."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
from onnx import TensorProto, helper
from targets import free_port

from coresplit.machine.reservation import SHARED

MOST_ROWS = 1024
"""The most rows of a request, as in ``coresplit serve``."""
PATIENCE_S = 120.0
PRODUCT = ("pytriton", "tritonserver")
ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
}

_IN_TRITON = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            given = [
                pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in {inputs}
            ]
            tensors = [
                pb_utils.Tensor(name, value) for name, value in zip({outputs}, {values})
            ]
            answers.append(pb_utils.InferenceResponse(tensors))
        return answers
"""


class Model(msgspec.Struct, frozen=True):
    """A model of one data type: the sum and difference of two inputs, or one input unchanged."""

    name: str
    datatype: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: tuple[int, ...]


SIMPLE = Model("simple", "INT32", ("INPUT0", "INPUT1"), ("OUTPUT0", "OUTPUT1"), (16,))
MODELS = (
    SIMPLE,
    *(Model(f"echo_{each}", each, ("x",), ("y",), (2, 3)) for each in ONNX_TYPES),
)


@contextlib.contextmanager
def triton(environment: Path) -> Iterator[int]:
    """Run Triton with all models and yield its port; ``environment`` has nvidia-pytriton."""
    (site,) = environment.glob("lib/python3.*/site-packages")
    server = site.joinpath(*PRODUCT)
    python = environment / "bin" / "python"
    code = (
        "import sys, sysconfig; print(sysconfig.get_config_var('LIBDIR'), sys.version_info.minor)"
    )
    libraries, minor = subprocess.check_output([python, "-c", code], text=True).split()
    with tempfile.TemporaryDirectory() as folder:
        backend = Path(folder, "backends", "python")
        backend.mkdir(parents=True)
        stub = server / "python_backend_stubs" / f"3.{minor}" / "triton_python_backend_stub"
        for each in (*(server / "backends" / "python").iterdir(), stub):
            if not (backend / each.name).exists():
                (backend / each.name).symlink_to(each)
        repository = Path(folder, "models")
        for model in MODELS:
            _write_for_triton(model, repository / model.name)
        port = free_port()
        words = (
            *(server / "bin" / "tritonserver", "--model-repository", repository),
            *("--backend-directory", backend.parent, "--http-address", "127.0.0.1"),
            *("--http-port", str(port), "--allow-grpc", "false", "--allow-metrics", "false"),
            *("--exit-timeout-secs", "2"),
        )
        path = f"{python.parent}:{os.environ['PATH']}"
        variables = {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": str(site), "PATH": path}
        with _running([str(each) for each in words], Path(folder, "log"), variables, port):
            yield port


@contextlib.contextmanager
def coresplit(model: Model) -> Iterator[int]:
    """Run ``coresplit serve`` with one model on ONNX Runtime and yield its port."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{model.name}.onnx")
        onnx.save(_graph(model), path)
        port = free_port()
        words = (
            *(sys.executable, "-m", "coresplit", "serve", str(path), "--name", model.name),
            *("--split", "1x1", "--optimization", "onnxruntime", "--port", str(port)),
            *("--memory", "256"),
        )
        # nothing is timed
        with _running(list(words), Path(folder, "log"), {SHARED: "1"}, port):
            yield port


@contextlib.contextmanager
def _running(words: list[str], log: Path, variables: dict[str, str], port: int) -> Iterator[None]:
    with log.open("w") as file:
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env=os.environ | variables
        )
    try:
        end = time.monotonic() + PATIENCE_S
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{words[0]} was not ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_ready(port: int) -> bool:
    """Return True if the server on a port says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5):
            return True
    except OSError:
        return False


def _write_for_triton(model: Model, folder: Path) -> None:
    (folder / "1").mkdir(parents=True)
    values = "[given[0] + given[1], given[0] - given[1]]" if len(model.inputs) == 2 else "given"
    code = _IN_TRITON.format(inputs=model.inputs, outputs=model.outputs, values=values)
    (folder / "1" / "model.py").write_text(code)

    def described(names: tuple[str, ...]) -> str:
        kind, dims = f"TYPE_{model.datatype}", list(model.shape)
        return ", ".join(f'{{ name: "{n}" data_type: {kind} dims: {dims} }}' for n in names)

    (folder / "config.pbtxt").write_text(
        f'name: "{model.name}"\nbackend: "python"\nmax_batch_size: {MOST_ROWS}\n'
        f"input [ {described(model.inputs)} ]\noutput [ {described(model.outputs)} ]\n"
        "instance_group [ { kind: KIND_CPU count: 1 } ]\n"
    )


def _graph(model: Model) -> onnx.ModelProto:
    def described(name: str) -> onnx.ValueInfoProto:
        shape: list[int | str | None] = ["batch", *model.shape]
        return helper.make_tensor_value_info(name, ONNX_TYPES[model.datatype], shape)

    operators = ["Add", "Sub"] if len(model.inputs) == 2 else ["Identity"]
    nodes = [
        helper.make_node(operator, list(model.inputs), [output])
        for operator, output in zip(operators, model.outputs, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        model.name,
        [described(name) for name in model.inputs],
        [described(name) for name in model.outputs],
    )
    # versions that the oldest supported ONNX Runtime can read
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
