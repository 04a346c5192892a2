"""Make the batch dynamic in an ONNX graph that was exported for a fixed one."""

from typing import Any

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

_SYMBOL = "batch"


def free_batch(model: ModelProto) -> None:
    """Make the first dimension of every input and output a symbol, in place.

    Shapes that were inferred for the fixed batch are dropped. Reshapes to a constant shape that
    begins with the batch are changed to keep it dynamic, which is enough for most networks. Run the
    result to check that it is right.
    """
    graph = model.graph
    weights = {each.name: each for each in graph.initializer}
    fed = [each for each in graph.input if each.name not in weights]
    batch = next(
        each.type.tensor_type.shape.dim[0].dim_value
        for each in fed
        if each.type.tensor_type.shape.dim[0].HasField("dim_value")
    )
    for value in (*fed, *graph.output):
        shape = value.type.tensor_type.shape
        if shape.dim:
            shape.dim[0].dim_param = _SYMBOL
    del graph.value_info[:]
    constants = {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in graph.node:
        if node.op_type == "Reshape" and len(node.input) > 1:
            wanted = weights.get(node.input[1]) or constants.get(node.input[1])
            if wanted is not None:
                _free_reshape(graph, node, wanted, batch)


def _free_reshape(graph: Any, node: NodeProto, wanted: TensorProto, batch: int) -> None:  # noqa: ANN401
    shape = numpy_helper.to_array(wanted).copy()
    if shape.size == 0 or shape[0] != batch:
        return
    # -1 is inferred, 0 copies the input's dimension; only one -1 is allowed
    shape[0] = 0 if (shape[1:] == -1).any() else -1
    if shape[0] == 0:
        for attribute in node.attribute:
            if attribute.name == "allowzero" and attribute.type == AttributeProto.INT:
                attribute.i = 0
    name = f"{node.output[0]}_{_SYMBOL}_shape"
    graph.initializer.append(numpy_helper.from_array(shape, name))
    node.input[1] = name
