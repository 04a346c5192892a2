"""Tensors as JSON numbers."""

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
    """Return the elements as comma-separated JSON; None if one is NaN or infinite.

    Floats are written so that they read back exactly, shorter ones as the float64 of equal value.
    """
    text = msgspec.json.encode(_values(piece, datatype))[1:-1]
    # only NaN and infinity are encoded as null
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
    """Convert BF16 to FP32: BF16 is its upper half."""
    wide = bytearray(2 * raw.nbytes)
    wide[2::4] = raw[::2]
    wide[3::4] = raw[1::2]
    return wide
