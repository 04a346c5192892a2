"""Parse the shape of a load, such as ``step:5,50@30s``; pure.

step:5,50@30s,5@10s    5 for 30 s, 50 for 30 s, 5 for 10 s; a missing time is that of the next rate
ramp:5..50@60s         from 5 to 50, linearly; more points as ramp:5..50@60s..5@20s
spike:5..50@10s/60s    5, but 50 for 10 s in the middle of 60 s
diurnal:5..50@10m      from 5 up to 50 and back within 10 minutes, as a cosine
ramp:0..50@30s + step:50@60s    one after the other
"""

import re

from coresplit.errors import UsageError
from coresplit.loading.arrivals import Piece
from coresplit.units import parse_duration

_RATE = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_EXAMPLES = {
    "step": "step:5,50@30s",
    "ramp": "ramp:5..50@60s",
    "spike": "spike:5..50@10s/60s",
    "diurnal": "diurnal:5..50@10m",
}
KINDS = tuple(_EXAMPLES)
FOREVER_S = 1e12
"""Length of a rate without an end; JSON cannot store infinity."""


def parse_shape(text: str) -> tuple[Piece, ...]:
    """Return the pieces of a shape; raises UsageError with the mistake and an example."""
    pieces: list[Piece] = []
    for part in text.split("+"):
        kind, colon, rest = part.strip().partition(":")
        if not colon or kind not in _EXAMPLES:
            known = ", ".join(_EXAMPLES.values())
            raise UsageError(f"'{text}' is not a shape; write for example {known}")
        try:
            pieces += _READERS[kind](rest.strip())
        except _Unreadable as wrong:
            raise UsageError(
                f"shape '{part.strip()}': {wrong}; write for example {_EXAMPLES[kind]}"
            ) from None
    if not any(piece.peak > 0 for piece in pieces):
        raise UsageError(f"shape '{text}' never asks for a request; give a rate above 0")
    return tuple(pieces)


def constant(rate: float) -> tuple[Piece, ...]:
    """Return the pieces of a constant rate without an end."""
    return (Piece(length=FOREVER_S, start=rate, end=rate),)


class _Unreadable(Exception):
    """What is wrong with a part of a shape."""


def _step(text: str) -> list[Piece]:
    found: list[Piece] = []
    length = None
    for word in reversed(text.split(",")):
        rate, length = _timed(word, length)
        found.append(Piece(length=length, start=rate, end=rate))
    return found[::-1]


def _ramp(text: str) -> list[Piece]:
    first, *others = text.split("..")
    if not others:
        raise _Unreadable("it needs a first and a last rate")
    pieces: list[Piece] = []
    start, length = _rate(first), None
    for word in reversed(others):
        end, length = _timed(word, length)
        pieces.append(Piece(length=length, start=0.0, end=end))
    found: list[Piece] = []
    for piece in reversed(pieces):
        found.append(Piece(length=piece.length, start=start, end=piece.end))
        start = piece.end
    return found


def _spike(text: str) -> list[Piece]:
    rest, slash, whole = text.partition("/")
    if not slash:
        raise _Unreadable("it needs the total time after a slash")
    base, peak, width = _two(rest)
    total = _time(whole)
    if width >= total:
        raise _Unreadable("the spike must be shorter than the total time")
    side = (total - width) / 2
    low = Piece(length=side, start=base, end=base)
    return [low, Piece(length=width, start=peak, end=peak), low]


def _diurnal(text: str) -> list[Piece]:
    low, high, length = _two(text)
    return [Piece(length=length, start=low, end=high, wave=True)]


_READERS = {"step": _step, "ramp": _ramp, "spike": _spike, "diurnal": _diurnal}


def _two(text: str) -> tuple[float, float, float]:
    first, dots, rest = text.partition("..")
    if not dots:
        raise _Unreadable("it needs two rates with '..' between")
    end, length = _timed(rest, None)
    return _rate(first), end, length


def _timed(word: str, default: float | None) -> tuple[float, float]:
    rate, at, time = word.partition("@")
    if at:
        return _rate(rate), _time(time)
    if default is None:
        raise _Unreadable(f"'{word.strip()}' has no time after an @")
    return _rate(rate), default


def _rate(text: str) -> float:
    if not _RATE.fullmatch(text.strip()):
        raise _Unreadable(f"'{text.strip()}' is not a rate in requests per second")
    return float(text)


def _time(text: str) -> float:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise _Unreadable(error.what) from None
