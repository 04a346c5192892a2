"""What every peer computes: a plain function from a batch to its outputs, both float32 in numpy.

It is imported in the environment of each peer, so it needs numpy and the library alone.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Model = Callable[[Floats], Floats]

FIRST = "first"
"""The model that does nothing: its output is the first 1,000 numbers of a row."""
_ARGUMENTS = "PEER_ARGUMENTS"


class Options(argparse.Namespace):
    """What a peer is told; 0 threads are the default of the library."""

    port: int
    model: str
    backend: str
    shape: tuple[int, ...]
    workers: int
    threads: int
    batch: int
    delay_ms: int

    @property
    def row_bytes(self) -> int:
        return 4 * math.prod(self.shape)


def options() -> Options:
    """What is on the command line; workers that are started from this process find it too."""
    os.environ.setdefault(_ARGUMENTS, " ".join(sys.argv[1:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default=FIRST, help=f"{FIRST}, or an ONNX file")
    parser.add_argument("--backend", choices=("onnxruntime", "openvino"), default="openvino")
    parser.add_argument("--shape", type=_shape, default=(3, 299, 299), help="of a row: 3x299x299")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--delay-ms", type=int, default=0)
    return parser.parse_args(os.environ[_ARGUMENTS].split(), Options())


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split("x"))


def rows_of(body: bytes | bytearray | memoryview, shape: tuple[int, ...]) -> Floats:
    """A raw body as rows."""
    return np.frombuffer(body, np.float32).reshape(-1, *shape)


def load(given: Options) -> Model:
    if given.model == FIRST:
        return lambda rows: rows.reshape(len(rows), -1)[:, :1000]
    example = np.zeros((given.batch, *given.shape), np.float32)
    model = (_onnxruntime if given.backend == "onnxruntime" else _openvino)(given)
    for batch in {1, given.batch}:
        model(example[:batch])
    return model


def _onnxruntime(given: Options) -> Model:
    import onnxruntime  # noqa: PLC0415

    asked = onnxruntime.SessionOptions()
    if given.threads:
        asked.intra_op_num_threads = given.threads
        asked.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(given.model, asked, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(rows: Floats) -> Floats:
        found: Floats = session.run(None, {name: rows})[0]
        return found

    return run


def _openvino(given: Options) -> Model:
    import openvino  # noqa: PLC0415

    # in float32 and as one stream, as coresplit has it
    asked: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    if given.threads:
        asked |= {"INFERENCE_NUM_THREADS": given.threads, "ENABLE_CPU_PINNING": False}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(given.model), "CPU", asked)

    def run(rows: Floats) -> Floats:
        found: Floats = compiled(rows)[0]
        return found

    return run
