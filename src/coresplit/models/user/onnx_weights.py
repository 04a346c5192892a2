"""External weight files of an ONNX model, checked before anything reads them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from coresplit.errors import UsageError

_LARGEST = 2**63 - 1


def weight_files(name: str, path: Path, model: ModelProto) -> list[Path]:
    """The external files with tensors of the model.

    Raises ``UsageError`` for a file that is missing, too short or outside the model's folder, and
    for an offset or length that is not a number.
    """
    needed: dict[Path, int] = {}
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        said = {each.key: each.value for each in tensor.external_data}
        file = path.parent / _location(name, said.get("location", ""))
        end = sum(_number(name, key, said.get(key, "0")) for key in ("offset", "length"))
        needed[file] = max(needed.get(file, 0), end)
    for file, size in needed.items():
        _check(name, path, file, size)
    return sorted(needed)


def _location(name: str, text: str) -> str:
    inside = Path(os.path.normpath(text))
    if "\0" in text or not inside.name or inside.is_absolute():
        raise UsageError(f"'{name}' is damaged: it has weights in a file named '{text}'")
    if inside.parts[0] == os.pardir:
        raise UsageError(
            f"'{name}' has its weights in '{text}', outside its folder; put them into that "
            "folder and export it again"
        )
    return text


def _number(name: str, key: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)):
        found = int(text)
        if found <= _LARGEST:
            return found
    raise UsageError(
        f"'{name}' is damaged: the {key} of its external weights is '{text[:40]}', not a number of "
        "bytes; export it again"
    )


def _check(name: str, path: Path, file: Path, size: int) -> None:
    folder = path.parent.resolve()
    try:
        there = os.path.lexists(file)
        regular = file.is_file()
        inside = Path(os.path.realpath(file)).is_relative_to(folder)
        length = file.stat().st_size if regular else 0
    except OSError as error:
        raise UsageError(
            f"'{file.name[:80]}', the weights of '{name}', cannot be read: "
            f"{error.strerror or error}"
        ) from error
    if not there:
        raise UsageError(
            f"'{name}' has its weights in '{file.name}', which is missing; copy it to {folder}"
        )
    if not inside:
        raise UsageError(
            f"'{file.name}', the weights of '{name}', is a link out of {folder}; "
            "copy the file itself there"
        )
    if not regular:
        raise UsageError(f"'{file.name}', the weights of '{name}', is not a regular file")
    if length < size:
        raise UsageError(f"'{file.name}', the weights of '{name}', is truncated; download it again")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor of a model: of its graphs, of attributes and of functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)
        yield from _of_attributes(function.attribute_proto)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from _of_sparse(graph.sparse_initializer)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        yield from _of_attributes(node.attribute)


def _of_attributes(attributes: Iterable[AttributeProto]) -> Iterator[TensorProto]:
    for each in attributes:
        yield from (each.t, *each.tensors)
        yield from _of_sparse((each.sparse_tensor, *each.sparse_tensors))
        for graph in (each.g, *each.graphs):
            yield from _of_graph(graph)


def _of_sparse(sparse: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    for each in sparse:
        yield from (each.values, each.indices)
