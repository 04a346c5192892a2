"""The cost of one input of an ONNX model, computed from its graph."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coresplit.models.tensors import Survey
from coresplit.records import ModelInput

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def survey_onnx(path: Path, inputs: Sequence[ModelInput]) -> Survey:
    """The operations and the largest tensor of one input, from the shapes that onnx infers.

    Operations are those of convolutions, matrix products and attention, as ``survey`` counts
    them. They are 0, for unknown, if the shapes of one of these are unknown or if it is inside a
    branch or loop. Raises ``UsageError`` for a damaged file.
    """
    import onnx.inliner  # noqa: PLC0415

    from coresplit.models.user.onnx_file import graph_inputs, read  # noqa: PLC0415

    model = read(str(path), path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _set_shapes(model, graph_inputs(model), inputs)
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: Shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    not_computed = set(shapes) | {
        name for node in graph.node if node.op_type == "Constant" for name in node.output
    }
    largest = 0
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(each.HasField("dim_value") for each in kind.shape.dim):
            shapes[value.name] = tuple(each.dim_value for each in kind.shape.dim)
            if value.name not in not_computed and value not in graph.input:
                dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
                largest = max(largest, math.prod(shapes[value.name]) * dtype.itemsize)
    return Survey(largest_tensor=largest, flops=_flops(graph.node, shapes))


def _set_shapes(
    model: "ModelProto", fed: "Sequence[ValueInfoProto]", inputs: Sequence[ModelInput]
) -> None:
    """Fix the inputs at a batch of one, and drop shapes stored for another."""
    for value, given in zip(fed, inputs, strict=True):
        shape = value.type.tensor_type.shape
        for dimension, size in zip(shape.dim, (1, *given.shape), strict=True):
            dimension.dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]


def _flops(nodes: "Iterable[NodeProto]", shapes: Shapes) -> int:
    try:
        found = 0
        for node in nodes:
            if node.op_type in _COUNTED:
                found += _COUNTED[node.op_type](node, shapes)
            elif any(each.op_type in _COUNTED for each in _inside(node)):
                return 0
        return found
    except KeyError:
        return 0


def _inside(node: "NodeProto") -> "Iterator[NodeProto]":
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for each in graph.node:
                yield each
                yield from _inside(each)


def _conv(weight: int) -> "Callable[[NodeProto, Shapes], int]":
    """Every output sums one product with each weight of its filter."""

    def count(node: "NodeProto", shapes: Shapes) -> int:
        filters = shapes[node.input[weight]]
        return 2 * math.prod(shapes[node.output[0]]) * math.prod(filters[1:])

    return count


def _transposed(node: "NodeProto", shapes: Shapes) -> int:
    """Every input takes part in one product with each weight of its filter."""
    return 2 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _product(node: "NodeProto", shapes: Shapes) -> int:
    first = shapes[node.input[0]]
    turned = any(each.name == "transA" and each.i for each in node.attribute)
    return 2 * math.prod(shapes[node.output[0]]) * first[-2 if turned else -1]


def _attention(node: "NodeProto", shapes: Shapes) -> int:
    """Two products: queries with keys, and the weights with values; whole, as if not causal."""
    query, key = shapes[node.input[0]], shapes[node.input[1]]
    return 2 * key[-2] * (math.prod(query) + math.prod(shapes[node.output[0]]))


_COUNTED: dict[str, "Callable[[NodeProto, Shapes], int]"] = {
    "Conv": _conv(1),
    "FusedConv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "FusedMatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Gemm": _product,
    "FusedGemm": _product,
    "Attention": _attention,
}
