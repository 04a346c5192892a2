"""Parse a user's description of an input: name, shape without the batch, type and range."""

import re

from coresplit.errors import UsageError
from coresplit.records import ModelInput

UNNAMED = "x"
FLOATS = ("float16", "float32", "float64", "complex64", "complex128")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = ("bool", *INTEGERS, *FLOATS)
"""The types that numpy and torch have in common."""

_SCALAR = "scalar"
_LARGEST = 2**40
_EXAMPLES = "write for example x=3x224x224:float32 or ids=128:int64:0-30521"
_SHAPE = re.compile(r"[0-9]+(x[0-9]+)*", re.ASCII)
_SPAN = re.compile(r"(-?[0-9]+)-(-?[0-9]+)", re.ASCII)


def parse_input(text: str) -> ModelInput:
    """Parse ``[NAME=]SHAPE[:TYPE[:LOW-HIGH]]``; raises ``UsageError``.

    SHAPE is without the batch, such as ``3x224x224``, or ``scalar`` for a single number. NAME
    defaults to ``x``, TYPE to ``float32``. LOW and HIGH are the inclusive range that integers are
    drawn from. Parsing ``str()`` of the result gives the same result.
    """
    name, given, rest = text.strip().rpartition("=")
    shape, *more = rest.strip().split(":")
    if (given and not name.strip()) or len(more) > 2 or not all(more):
        raise UsageError(f"input '{text}' is not NAME=SHAPE:TYPE:LOW-HIGH; {_EXAMPLES}")
    dtype, span = (*more, "", "")[:2]
    dtype = dtype or "float32"
    if dtype not in DTYPES:
        raise UsageError(f"input '{text}': unknown type '{dtype}'; use one of {', '.join(DTYPES)}")
    low, high = _span_in(span, dtype, text)
    return ModelInput(
        name=name.strip() or UNNAMED,
        shape=_shape_in(shape, text),
        dtype=dtype,
        low=low,
        high=high,
    )


def limits(dtype: str) -> tuple[int, int]:
    """The smallest and the largest value of an integer type or ``bool``."""
    if dtype == "bool":
        return 0, 1
    bits = int(dtype.rpartition("int")[2])
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def require_range(name: str, low: int, high: int, dtype: str, within: tuple[int, int]) -> None:
    """Raise ``UsageError`` for a range that is reversed or exceeds ``within``."""
    least, most = within
    if not least <= low <= high <= most:
        raise UsageError(
            f"input '{name}': {low} to {high} is not a valid range of {dtype}; "
            f"use numbers from {least} to {most}, the smaller one first"
        )


def _shape_in(shape: str, text: str) -> tuple[int, ...]:
    if shape == _SCALAR:
        return ()
    if _SHAPE.fullmatch(shape) is None:
        raise UsageError(
            f"input '{text}': '{shape}' is not a shape such as 3x224x224, without the batch; "
            f"{_EXAMPLES}"
        )
    sizes = tuple(int(size) for size in shape.split("x"))
    if not all(0 < size < _LARGEST for size in sizes):
        raise UsageError(f"input '{text}': every size must be above 0 and below {_LARGEST}")
    return sizes


def _span_in(span: str, dtype: str, text: str) -> tuple[int | None, int | None]:
    if not span:
        return None, None
    if dtype in FLOATS:
        raise UsageError(f"input '{text}': a range is for integers, not for {dtype}")
    match = _SPAN.fullmatch(span)
    if match is None:
        raise UsageError(f"input '{text}': '{span}' is not a range such as 0-30521")
    low, high = int(match[1]), int(match[2])
    require_range(text, low, high, dtype, limits(dtype))
    return low, high
