"""Decode tensors from JSON text."""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from coresplit.records import ModelInput

_COMMA = ord(",")
_PIECE = 256 << 10
# up to this many bytes, a text is decoded completely and its first mistake reported
_SHORT = 4 << 10
_OPENING = re.compile(rb"[\[ \t\r\n]*")


class WrongText(Exception):
    """A JSON text is not the expected tensor."""


def tensor_in(text: memoryview, wanted: ModelInput, rows: int | None, least: int) -> NDArray[Any]:
    """Decode a tensor [N, *shape] from a JSON list, flat or nested as deep as the tensor.

    N must be ``rows``, or, if that is None, at least ``least``. Raises WrongText if the text is no
    such list, and for complex numbers.
    """
    try:
        if len(text) > _SHORT:
            _check_count(_commas(text) + 1, math.prod(wanted.shape), rows, least)
        return _shaped(_typed(_values(text, wanted), wanted.dtype), wanted.shape, rows, least)
    except (msgspec.MsgspecError, WrongText) as error:
        raise WrongText(f"input '{wanted.name}': {error}") from error


def rows_in(text: memoryview, wanted: ModelInput, rows: int, first: int, last: int) -> NDArray[Any]:
    """Decode the rows from ``first`` to ``last`` of ``rows``, as ``tensor_in`` would.

    Other rows of a long text are not decoded, so that a request split into many parts takes no more
    time and memory than an unsplit one. Mistakes in other rows are reported to the parts that
    decode them.
    """
    if len(text) <= _SHORT or last - first == rows:
        return tensor_in(text, wanted, rows, last)[first:last]
    row = math.prod(wanted.shape)
    try:
        _check_count(_commas(text) + 1, row, rows, last)
    except WrongText as error:
        raise WrongText(f"input '{wanted.name}': {error}") from error
    cut = _cut(text, first * row, last * row)
    return tensor_in(memoryview(cut), wanted, last - first, last - first)


def _commas(text: memoryview) -> int:
    """Return the number of commas: one between any two values, however they are nested."""
    return sum(int(np.count_nonzero(piece == _COMMA)) for _, piece in _pieces(text))


def _cut(text: memoryview, first: int, last: int) -> bytes:
    """Return the values from ``first`` to ``last`` of a list, as a list with the same nesting."""
    opening = bytes(text[:_SHORT]).find(b"[")
    closing = bytes(text[-_SHORT:]).rfind(b"]")
    begin, end = opening + 1, len(text) - min(len(text), _SHORT) + closing
    before = 0
    for at, piece in _pieces(text):
        commas = np.flatnonzero(piece == _COMMA)
        # value n lies between the commas n - 1 and n, counted from 0
        if before < first <= before + len(commas):
            begin = at + int(commas[first - before - 1]) + 1
        if before < last <= before + len(commas):
            end = at + int(commas[last - before - 1])
            break
        before += len(commas)
    return b"[%b]" % bytes(text[begin:end])


def _pieces(text: memoryview) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for at in range(0, len(text), _PIECE):
        yield at, np.frombuffer(text[at : at + _PIECE], np.uint8)


def _values(text: memoryview, wanted: ModelInput) -> NDArray[Any]:
    """Decode integers and booleans as 64-bit integers, floats as float64; flat or nested."""
    opening = _OPENING.match(text)
    depth = opening.group().count(b"[") if opening else 0
    whole = 1 + len(wanted.shape)
    if depth not in (1, whole):
        raise WrongText(
            "not a list of values" if not depth else f"nested {depth} deep, must be flat or {whole}"
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
        raise WrongText(f"a row has shape {list(found.shape[1:])}, must be {list(wanted.shape)}")
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
    # values out of range have become infinite, or another integer
    held = np.isfinite(found).all() if dtype.kind == "f" else np.array_equal(found, values)
    if not held:
        raise WrongText(f"a value is out of range for {name}")
    return found


def _shaped(
    values: NDArray[Any], shape: tuple[int, ...], rows: int | None, least: int
) -> NDArray[Any]:
    _check_count(values.size, math.prod(shape), rows, least)
    return values.reshape(-1, *shape)


def _check_count(count: int, row: int, rows: int | None, least: int) -> None:
    enough = count == rows * row if rows is not None else count >= least * row and not count % row
    if not enough:
        wanted = least if rows is None else rows
        raise WrongText(f"{count} values where {wanted * row} were expected")
