"""Inputs and outputs of a served model, in the terms of the Open Inference Protocol."""

import math
from collections.abc import Sequence

import msgspec

from coresplit.errors import UsageError
from coresplit.records import ModelInput

_NAMES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bfloat16": "BF16",
}
_DTYPES = {datatype: dtype for dtype, datatype in _NAMES.items()}
ELEMENT_BYTES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
    "BF16": 2,
}
"""Size of one element by datatype. BYTES, the protocol's strings, is not supported."""


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output; ``shape`` is the shape of a row, without the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of one row in the binary format."""
        return ELEMENT_BYTES[self.datatype] * math.prod(self.shape)

    def shaped(self, rows: int) -> list[int]:
        """Return the shape of this many rows."""
        return [rows, *self.shape]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model as clients see it. No request may have more than ``max_batch`` rows."""

    model: str
    version: str = "1"
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int


def datatype_of(dtype: str) -> str:
    """Return the protocol's name of a type such as float32; ``UsageError`` if it has none."""
    if dtype not in _NAMES:
        raise UsageError(
            f"type '{dtype}' cannot be served: the protocol knows only {', '.join(_NAMES)}"
        )
    return _NAMES[dtype]


def dtype_of(datatype: str) -> str:
    """Return the type that the protocol calls ``datatype``, such as float32 for FP32."""
    return _DTYPES[datatype]


def tensors_of(inputs: Sequence[ModelInput]) -> tuple[Tensor, ...]:
    """Convert the inputs of a model to the protocol's tensors."""
    return tuple(Tensor(each.name, datatype_of(each.dtype), each.shape) for each in inputs)
