"""What the tests of clients have in common: models, their inputs, and what must come out."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

Array = NDArray[Any]
KINDS: dict[str, int] = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
TOKEN = "a token of the tests"
SPLIT = ("--split", "1x1", "--optimization", "onnxruntime")


def save_simple(folder: Path) -> Path:
    """The model of Triton's examples: the sum and the difference of two rows of 16 integers."""
    shape = ["n", 16]
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    return _save(
        folder / "simple.onnx",
        nodes,
        [_described(f"INPUT{n}", "int32", shape) for n in range(2)],
        [_described(f"OUTPUT{n}", "int32", shape) for n in range(2)],
    )


def save_types(folder: Path) -> Path:
    """A model that gives back one input of each type."""
    nodes = [helper.make_node("Identity", [f"in_{each}"], [f"out_{each}"]) for each in KINDS]
    shape = ["n", 2, 3]
    return _save(
        folder / "types.onnx",
        nodes,
        [_described(f"in_{each}", each, shape) for each in KINDS],
        [_described(f"out_{each}", each, shape) for each in KINDS],
    )


def save_images(folder: Path) -> Path:
    """A thousand scores for an image, quickly, under the names that the documentation has."""
    weights = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["output"]),
    ]
    return _save(
        folder / "images.onnx",
        nodes,
        [_described("x", "float32", ["n", 3, 224, 224])],
        [_described("output", "float32", ["n", 1000])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )


def values_of(kind: str, rows: int) -> Array:
    """Rows of a type, with its limits among them."""
    dtype = np.dtype(kind)
    count = rows * 6
    found: Array = np.arange(count).astype(dtype)
    if dtype.kind != "b":
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        found[:2] = limits.min, limits.max
    return found.reshape(rows, 2, 3)


def _described(name: str, kind: str, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, KINDS[kind], shape)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[TensorProto] | None = None,
) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path
