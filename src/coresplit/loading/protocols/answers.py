"""Check answers: status, shapes, sizes, and the same answer to the same request."""

import math
from typing import Any

import msgspec

from coresplit.loading.protocols.bodies import (
    ModelMetadata,
    Tensor,
    count_of,
    element_bytes,
)
from coresplit.loading.wire.connection import Answer
from coresplit.loading.wire.request import Prepared

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Tolerances for equal numbers: a different batch may change the order of additions."""
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}

OTHER = "other outputs than before"


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, msgspec.Raw] = {}
    data: Any = None


class _Answer(msgspec.Struct):
    outputs: tuple[_Output, ...]


class _Known:
    """An answer that was checked before."""

    __slots__ = ("body", "header")

    def __init__(self, body: bytes, header: bytes | None) -> None:
        self.body = body
        self.header = header

    def differs_in_tensors_alone(self, body: bytes, length: int | None) -> bool:
        """True if an answer has the same JSON, followed by the same number of bytes."""
        header = self.header
        return (
            header is not None
            and length == len(header)
            and len(body) == len(self.body)
            and body.startswith(header)
        )


class AnyChecker:
    """Checks for status 200 and, with ``verify``, for the same answer to the same request."""

    def __init__(self, *, verify: bool) -> None:
        self._verify = verify

    def check(self, request: Prepared, answer: Answer) -> str:
        """Return the kind of error, or an empty string if the answer is right."""
        if answer.status != 200:
            return f"status {answer.status}"
        if not self._verify:
            return ""
        if request.expected is None:
            request.expected = answer.body
        elif request.expected != answer.body and not _alike(request.expected, answer.body):
            return OTHER
        return ""


class InferChecker:
    """Checks for status 200 and outputs with the expected names, types, shapes and sizes.

    An answer is right if it equals a right one or, without ``verify``, differs from it only in the
    bytes of tensors. So most answers cost one comparison of bytes.
    """

    def __init__(self, metadata: ModelMetadata, *, verify: bool) -> None:
        self._outputs = {tensor.name: tensor for tensor in metadata.outputs}
        self._verify = verify

    def check(self, request: Prepared, answer: Answer) -> str:
        """Return the kind of error, or an empty string if the answer is right."""
        if answer.status != 200:
            return f"status {answer.status}"
        known: _Known | None = request.expected
        body, length = answer.body, answer.header_length
        if known is not None:
            if known.body == body:
                return ""
            if known.differs_in_tensors_alone(body, length):
                return self._compare(known, body, length) if self._verify else ""
        wrong = self._whole(request, body, length)
        if wrong:
            return wrong
        if known is None:
            request.expected = _Known(body, None if length is None else body[:length])
        elif self._verify:
            return self._compare(known, body, length)
        return ""

    def _whole(self, request: Prepared, body: bytes, length: int | None) -> str:
        header = body if length is None else body[:length]
        try:
            said = msgspec.json.decode(header, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return "the answer is not of the protocol"
        if len(said.outputs) < len(self._outputs):
            return "missing output"
        size = len(header)
        for output in said.outputs:
            due = self._outputs.get(output.name)
            if due is None or output.datatype != due.datatype:
                return "unexpected output"
            if not _fits(due, output.shape, request.rows):
                return "output of a wrong shape"
            found = _size(output)
            if found is None:
                return "output of a wrong length"
            size += found
        return "" if size == len(body) else "answer of a wrong length"

    def _compare(self, known: _Known, body: bytes, length: int | None) -> str:
        before = _tensors(known.body, None if known.header is None else len(known.header))
        return "" if _same_tensors(before, _tensors(body, length)) else OTHER


def _size(output: _Output) -> int | None:
    """Return the bytes of an output after the JSON; None if its length is wrong."""
    count = count_of(output.shape)
    binary = output.parameters.get("binary_data_size")
    if binary is None:
        right = isinstance(output.data, list) and _elements(output.data) == count
        return 0 if right else None
    each = element_bytes(output.datatype)
    if not bytes(binary).isdigit():
        return None
    size = int(bytes(binary))
    return None if each and size != count * each else size


def _fits(due: Tensor, shape: tuple[int, ...], rows: int) -> bool:
    """True if an output has the expected shape; ``rows`` is 0 if it has no batch."""
    if len(shape) != len(due.shape):
        return False
    wanted = (rows or -1, *due.shape[1:]) if due.shape[:1] == (-1,) else due.shape
    return all(w in (-1, size) and size >= 0 for w, size in zip(wanted, shape, strict=True))


def _elements(data: list[Any]) -> int:
    return sum(_elements(each) if isinstance(each, list) else 1 for each in data)


def _tensors(body: bytes, length: int | None) -> dict[str, tuple[str, Any]]:
    said = msgspec.json.decode(body if length is None else body[:length], type=_Answer)
    at, found = length or 0, {}
    for output in said.outputs:
        binary = output.parameters.get("binary_data_size")
        if binary is None:
            found[output.name] = (output.datatype, output.data)
        else:
            size = int(bytes(binary))
            found[output.name] = (output.datatype, body[at : at + size])
            at += size
    return found


def _same_tensors(one: dict[str, tuple[str, Any]], other: dict[str, tuple[str, Any]]) -> bool:
    import numpy as np  # noqa: PLC0415 (an extra)

    if one.keys() != other.keys():
        return False
    for name, (datatype, mine) in one.items():
        theirs = other[name][1]
        if isinstance(mine, bytes) and isinstance(theirs, bytes) and datatype in _FLOATS:
            a, b = (np.frombuffer(x, _FLOATS[datatype]) for x in (mine, theirs))
            if a.shape != b.shape or not np.allclose(a, b, RELATIVE, ABSOLUTE, equal_nan=True):
                return False
        elif not _near(mine, theirs):
            return False
    return True


def _alike(one: bytes, other: bytes) -> bool:
    """True if two answers are JSON with the same values; numbers within the tolerances."""
    try:
        return _near(msgspec.json.decode(one), msgspec.json.decode(other))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _near(one: Any, other: Any) -> bool:  # noqa: ANN401 (JSON)
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_near, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_near(one[key], other[key]) for key in one)
    return bool(one == other)
