"""Tensors as numbers in JSON."""

import struct

import msgspec

from coresplit.serving.protocol.signature import ELEMENT_BYTES

_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}


def as_json(piece: memoryview, datatype: str) -> bytes | None:
    """Elements as JSON with commas between; None where one is NaN or infinite.

    A float is written so that it reads back exactly, one of fewer bits as the float64 it equals.
    """
    text = msgspec.json.encode(_values(piece, datatype))[1:-1]
    # NaN and infinity are encoded as null, and nothing else is
    return None if b"null" in text else text


def _values(piece: memoryview, datatype: str) -> list[float] | tuple[float, ...]:
    raw = piece.cast("B")
    if datatype == "FP16":
        return struct.unpack(f"<{raw.nbytes // ELEMENT_BYTES[datatype]}e", raw)
    if datatype == "BF16":
        raw = memoryview(_widened(raw))
        datatype = "FP32"
    values: list[float] = raw.cast(_CODES[datatype]).tolist()  # type: ignore[call-overload]
    return values


def _widened(raw: memoryview) -> bytearray:
    """BF16 as FP32, of which it is the upper half."""
    wide = bytearray(2 * raw.nbytes)
    wide[2::4] = raw[::2]
    wide[3::4] = raw[1::2]
    return wide
