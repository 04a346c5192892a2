"""Tensors that come as JSON text."""

import math
import re
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from coresplit.records import ModelInput

_OPENING = re.compile(rb"[\[ \t\r\n]*")


class WrongText(Exception):
    """Why a JSON text is not the tensor that was asked for."""


def tensor_in(text: memoryview, wanted: ModelInput, rows: int | None, least: int) -> NDArray[Any]:
    """The tensor [N, *shape] in a JSON list, flat or nested as deep as the tensor.

    N is ``rows``, or where that is None whatever is there, but ``least`` or more. Raises
    WrongText where the text is no such list, and for complex numbers.
    """
    try:
        return _shaped(_typed(_values(text, wanted), wanted.dtype), wanted.shape, rows, least)
    except (msgspec.MsgspecError, WrongText) as error:
        raise WrongText(f"input '{wanted.name}': {error}") from error


def _values(text: memoryview, wanted: ModelInput) -> NDArray[Any]:
    """Whole numbers as 64-bit integers, others as float64, in one dimension or in all."""
    opening = _OPENING.match(text)
    depth = opening.group().count(b"[") if opening else 0
    whole = 1 + len(wanted.shape)
    if depth not in (1, whole):
        raise WrongText(
            "no list of values" if not depth else f"nested {depth} deep where flat or {whole} fits"
        )
    dtype = np.dtype(wanted.dtype)
    values = _decoder(dtype.kind, depth).decode(text)
    held = {"f": "float64", "u": "uint64"}.get(dtype.kind, "int64")
    try:
        found = np.array(values, held)
    except OverflowError as error:
        raise WrongText(f"a value is out of range for {wanted.dtype}") from error
    except ValueError as error:
        raise WrongText("its inner lists are of different lengths") from error
    if depth > 1 and found.shape[1:] != wanted.shape:
        raise WrongText(f"of shape {list(found.shape[1:])} a row where {list(wanted.shape)} fits")
    return found


@cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    found: Any = {"f": float, "b": bool | int, "i": int, "u": int}.get(kind)
    if found is None:
        raise WrongText("complex numbers have no JSON; send them in binary")
    for _ in range(depth):
        found = list[found]
    return msgspec.json.Decoder(found)


def _typed(values: NDArray[Any], name: str) -> NDArray[Any]:
    dtype = np.dtype(name)
    with np.errstate(over="ignore"):
        found = values.astype(dtype)
    # what does not fit has become infinite, or another integer
    held = np.isfinite(found).all() if dtype.kind == "f" else np.array_equal(found, values)
    if not held:
        raise WrongText(f"a value is out of range for {name}")
    return found


def _shaped(
    values: NDArray[Any], shape: tuple[int, ...], rows: int | None, least: int
) -> NDArray[Any]:
    row = math.prod(shape)
    enough = (
        values.size == rows * row
        if rows is not None
        else values.size >= least * row and not values.size % row
    )
    if not enough:
        wanted = least if rows is None else rows
        raise WrongText(f"{values.size} values where {wanted * row} were expected")
    return values.reshape(-1, *shape)
