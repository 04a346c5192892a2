"""What every peer computes: a plain function from inputs to outputs, both arrays of numpy.

It is imported in the environment of each peer, so it needs numpy and the library alone.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = tuple[NDArray[Any], ...]
"""All inputs or all outputs of some requests; the first axis of each array is the requests."""
Model = Callable[[Rows], Rows]

FIRST = "first"
"""The model that does nothing: its output is the first 1,000 numbers of a row."""
_ARGUMENTS = "PEER_ARGUMENTS"
_TYPES: dict[str, type[np.generic]] = {"FP32": np.float32, "INT64": np.int64}


class Tensor(NamedTuple):
    """An input or output: its name, its type as the Open Inference Protocol has it, its row."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return np.dtype(_TYPES[self.datatype]).itemsize * math.prod(self.shape)

    def rows(self, data: bytes | memoryview) -> NDArray[Any]:
        return np.frombuffer(data, _TYPES[self.datatype]).reshape(-1, *self.shape)

    def zeros(self, count: int) -> NDArray[Any]:
        return np.zeros((count, *self.shape), _TYPES[self.datatype])


class Options(argparse.Namespace):
    """What a peer is told; 0 threads are the default of the library."""

    port: int
    model: str
    backend: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    workers: int
    threads: int
    batch: int
    delay_ms: int
    timeout_ms: int


def options() -> Options:
    """What is on the command line; workers that are started from this process find it too."""
    os.environ.setdefault(_ARGUMENTS, " ".join(sys.argv[1:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default=FIRST, help=f"{FIRST}, or an ONNX file")
    parser.add_argument("--backend", choices=("onnxruntime", "openvino"), default="openvino")
    parser.add_argument("--inputs", type=tensors, required=True, help="x:FP32:3x299x299,...")
    parser.add_argument("--outputs", type=tensors, required=True, help="output:FP32:1000,...")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--delay-ms", type=int, default=0)
    parser.add_argument("--timeout-ms", type=int, default=0, help="refuse what waited so long")
    return parser.parse_args(os.environ[_ARGUMENTS].split(), Options())


def tensors(text: str) -> tuple[Tensor, ...]:
    """``ids:INT64:128,mask:INT64:128`` as it is written."""
    found = []
    for part in text.split(","):
        name, datatype, shape = part.split(":")
        found.append(Tensor(name, datatype, tuple(map(int, shape.split("x")))))
    return tuple(found)


def rows_of(body: bytes | bytearray | memoryview, inputs: Sequence[Tensor]) -> Rows:
    """A raw body as rows: all rows of the first input, then all of the next."""
    data = memoryview(body)
    count = len(data) // sum(each.row_bytes for each in inputs)
    found = []
    for each in inputs:
        size = count * each.row_bytes
        found.append(each.rows(data[:size]))
        data = data[size:]
    return tuple(found)


def bytes_of(rows: Rows) -> bytes:
    """A raw body, as ``rows_of`` reads it."""
    return b"".join(each.tobytes() for each in rows)


def joined(requests: Sequence[Rows]) -> Rows:
    """Several requests as one."""
    if len(requests) == 1:
        return requests[0]
    return tuple(np.concatenate(each) for each in zip(*requests, strict=True))


def parted(rows: Rows, counts: Sequence[int]) -> list[Rows]:
    """What was joined, taken apart again."""
    found, first = [], 0
    for count in counts:
        found.append(tuple(each[first : first + count] for each in rows))
        first += count
    return found


def load(given: Options) -> Model:
    """The model, after a forward of every size that it will be asked for."""
    if given.model == FIRST:
        return lambda rows: (rows[0].reshape(len(rows[0]), -1)[:, :1000],)
    model = (_onnxruntime if given.backend == "onnxruntime" else _openvino)(given)
    for batch in {1, given.batch}:
        model(tuple(each.zeros(batch) for each in given.inputs))
    return model


def _onnxruntime(given: Options) -> Model:
    import onnxruntime  # noqa: PLC0415

    asked = onnxruntime.SessionOptions()
    if given.threads:
        asked.intra_op_num_threads = given.threads
        asked.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(given.model, asked, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(rows: Rows) -> Rows:
        return tuple(session.run(None, dict(zip(names, rows, strict=True))))

    return run


def _openvino(given: Options) -> Model:
    import openvino  # noqa: PLC0415

    # in float32 and as one stream, as coresplit has it
    asked: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    if given.threads:
        asked |= {"INFERENCE_NUM_THREADS": given.threads, "ENABLE_CPU_PINNING": False}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(given.model), "CPU", asked)
    ports = range(len(given.outputs))

    def run(rows: Rows) -> Rows:
        found = compiled(rows)
        return tuple(found[each] for each in ports)

    return run
