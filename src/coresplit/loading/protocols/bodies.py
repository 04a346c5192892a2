"""Bodies of requests, built once: files, and tensors of the Open Inference Protocol."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from coresplit.errors import UsageError
from coresplit.loading.asked import Encoding
from coresplit.loading.wire.address import Address
from coresplit.loading.wire.request import Prepared, head_of

_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_BYTES = {**{name: int(re.sub(r"\D", "", name) or 8) // 8 for name in _DTYPES}, "BF16": 2}
_TOKENS = 100
"""Integers are drawn below this: any vocabulary has at least this many tokens."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output as a server describes it; negative sizes are open."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(msgspec.Struct, kw_only=True):
    """The answer of ``/v2/models/NAME``."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] = ()
    platform: str = ""


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of ``Name: value``; raises UsageError if it is not one header."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise UsageError(f"'{text}' is not a header; write for example 'Authorization: Bearer X'")
    if name.lower() in ("content-length", "transfer-encoding", "connection"):
        raise UsageError(f"the header {name} is set by the load itself")
    return name, value


def read_body(path: str) -> bytes:
    """Return the bytes of a file to send; raises UsageError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"the body {path} cannot be read: {error.strerror}") from error


def shaped(tensor: Tensor, rows: int, given: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of an input with ``rows`` rows.

    Raises UsageError if the server leaves the shape open or the input has no batch for the rows.
    """
    batched = tensor.shape[:1] == (-1,)
    row = given.get(tensor.name, tensor.shape[1:] if batched else tensor.shape)
    if any(size < 0 for size in row):
        raise UsageError(
            f"the server leaves the shape of input '{tensor.name}' open: "
            f"{list(tensor.shape)}; give the shape of a row",
            "for example {option}",
            f"input={tensor.name}={'x'.join(str(s) if s > 0 else '128' for s in row)}",
        )
    if batched:
        return (rows, *row)
    if rows != 1:
        raise UsageError(f"input '{tensor.name}' of shape {list(row)} cannot take {rows} rows")
    return row


def parse_inputs(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parse row shapes by input, such as ``ids=128`` or ``image=3x224x224``."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, shape = text.partition("=")
        sizes = shape.split("x") if shape else []
        if not equals or not name or not all(re.fullmatch(r"[1-9]\d{0,8}", s) for s in sizes):
            raise UsageError(f"'{text}' is not the shape of an input; write NAME=3x224x224")
        found[name] = tuple(map(int, sizes))
    return found


def infer_request(
    metadata: ModelMetadata,
    address: Address,
    path: str,
    *,
    encoding: Encoding,
    headers: Sequence[tuple[str, str]],
    tensors: Sequence[tuple[Tensor, tuple[int, ...], Any]],
    rows: int,
) -> Prepared:
    """Build an inference request; ``tensors`` are inputs with their shape and array."""
    if encoding == "raw":
        if len(tensors) != 1:
            raise UsageError(
                f"model '{metadata.name}' has {len(tensors)} inputs; raw bodies hold one",
                "give {option}",
                "encoding=binary",
            )
        data = memoryview(tensors[0][2]).cast("B")
        own = [("Inference-Header-Content-Length", "0"), *headers]
        return Prepared((head_of(address, "POST", path, own, data.nbytes), data), rows)
    described: list[dict[str, Any]] = []
    views: list[memoryview] = []
    for tensor, shape, array in tensors:
        one = {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}
        if encoding == "json":
            described.append({**one, "data": array.reshape(-1).tolist()})
        else:
            view = memoryview(array.reshape(-1)).cast("B")
            described.append({**one, "parameters": {"binary_data_size": view.nbytes}})
            views.append(view)
    asked: dict[str, Any] = {"inputs": described}
    if encoding == "binary":
        asked["parameters"] = {"binary_data_output": True}
    text = msgspec.json.encode(asked)
    own = [("Content-Type", "application/json"), *headers]
    if encoding == "binary":
        own[0] = ("Inference-Header-Content-Length", str(len(text)))
    length = len(text) + sum(view.nbytes for view in views)
    return Prepared((head_of(address, "POST", path, own, length) + text, *views), rows)


def drawn(tensor: Tensor, shape: tuple[int, ...], random: Any) -> Any:  # noqa: ANN401 (numpy)
    """Generate an input with ``random``: normally distributed floats, integers as token ids.

    Integer inputs with ``mask`` in their name are ones; those with ``type``, zeros.
    """
    import numpy as np  # noqa: PLC0415 (an extra)

    if tensor.datatype not in _BYTES:
        raise UsageError(f"no values can be generated for input '{tensor.name}': {tensor.datatype}")
    if tensor.datatype == "BF16":
        # BF16 is the upper half of a float32
        return (random.standard_normal(shape, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    dtype = np.dtype(_DTYPES[tensor.datatype])
    if dtype.kind == "f":
        return random.standard_normal(shape, np.float32).astype(dtype)
    if "mask" in tensor.name:
        return np.ones(shape, dtype)
    if "type" in tensor.name:
        return np.zeros(shape, dtype)
    most = 2 if dtype.kind == "b" else 256 if tensor.datatype == "UINT8" else _TOKENS
    return random.integers(0, most, shape).astype(dtype)


def element_bytes(datatype: str) -> int | None:
    """Return the size of an element in bytes; None if it varies or is unknown."""
    return _BYTES.get(datatype)


def count_of(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)
