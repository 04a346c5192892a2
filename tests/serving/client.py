"""A small client of the protocol, written from its text alone."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresplit.serving.protocol import HEADER_LENGTH, InferRequest, Raw

DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
Arrays = dict[str, NDArray[Any]]


def ask(
    arrays: Arrays, binary: set[str], datatypes: dict[str, str], **more: object
) -> tuple[memoryview, int | None]:
    """The body of a request and the length of its JSON, None where that is all of it."""
    inputs: list[dict[str, object]] = []
    data = b""
    for name, array in arrays.items():
        shown = {"name": name, "datatype": datatypes[name], "shape": list(array.shape)}
        if name in binary:
            inputs.append(shown | {"parameters": {"binary_data_size": array.nbytes}})
            data += array.tobytes()
        else:
            inputs.append(shown | {"data": array.tolist()})
    header = json.dumps({"inputs": inputs, **more}).encode()
    return memoryview(header + data), len(header) if binary else None


def sent(body: memoryview, request: InferRequest, index: int, like: NDArray[Any]) -> NDArray[Any]:
    """The input at ``index`` as the server finds it."""
    place = request.inputs[index]
    span = bytes(body[place.offset : place.offset + place.size])
    if isinstance(place, Raw):
        return np.frombuffer(span, like.dtype).reshape(like.shape)
    return np.array(json.loads(span), like.dtype).reshape(like.shape)


def answered(headers: dict[str, str], parts: list[bytes | memoryview]) -> tuple[Any, Arrays]:
    """The JSON of an answer and its tensors."""
    body = b"".join(parts)
    length = int(headers.get(HEADER_LENGTH, len(body)))
    shown = json.loads(body[:length])
    at = length
    arrays = {}
    for output in shown["outputs"]:
        dtype = np.dtype(DTYPES[output["datatype"]])
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            flat = np.array(output["data"], dtype)
        else:
            flat = np.frombuffer(body[at : at + size], dtype)
            at += size
        arrays[output["name"]] = flat.reshape(output["shape"])
    assert at == len(body)
    return shown, arrays
