"""When requests are due: constant spacing, Poisson processes and traces; pure, no clock.

A rate over time is a row of pieces. Constant spacing puts request ``k`` where the integral of the
rate exceeds ``k``. A Poisson process of a changing rate is drawn by thinning: candidates come at
the highest rate of a piece, and each is kept with the probability of the rate over that highest
rate (Lewis & Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", Naval Research
Logistics Quarterly 26(3), 1979).
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from coresplit.errors import StorageError, TableError, UsageError

_ITERATIONS = 200
_LONGEST_S = 1e7
"""Of a trace; what is later is most likely the time of day, in seconds since 1970."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """``length`` seconds in which the rate goes from ``start`` to ``end`` requests per second.

    It does so in a straight line, or, where ``wave`` is set, in one wave of a cosine from ``start``
    up to ``end`` and back.
    """

    length: float
    start: float
    end: float
    wave: bool = False

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(self.start, self.end)

    def rate(self, at: float) -> float:
        """Requests per second, ``at`` seconds after its beginning."""
        if self.start == self.end:
            return self.start
        if self.wave:
            share = (1 - math.cos(2 * math.pi * at / self.length)) / 2
        else:
            share = at / self.length
        return self.start + (self.end - self.start) * share

    def due(self, at: float) -> float:
        """The integral of the rate over its first ``at`` seconds."""
        if self.start == self.end:
            return self.start * at
        if self.wave:
            turns = 2 * math.pi / self.length
            return self.start * at + (self.end - self.start) / 2 * (
                at - math.sin(turns * at) / turns
            )
        return self.start * at + (self.end - self.start) * at * at / (2 * self.length)

    def reaches(self, count: float) -> float:
        """When the integral begins to exceed ``count``, which it does within the piece."""
        if self.start == self.end:
            return count / self.start
        low, high = 0.0, self.length
        for _ in range(_ITERATIONS):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            if self.due(middle) > count:
                high = middle
            else:
                low = middle
        return low


class Arrival(msgspec.Struct, frozen=True):
    """A request that is due ``at`` seconds after the beginning, with so many rows; 0 for any."""

    at: float
    rows: int = 0


def total_of(pieces: Sequence[Piece]) -> float:
    """Length of all pieces in seconds."""
    return sum(piece.length for piece in pieces)


def forever(pieces: Sequence[Piece], duration: float) -> Iterator[Piece]:
    """The pieces, again and again, until ``duration`` seconds are full."""
    left = duration
    while left > 0:
        for piece in pieces:
            if left <= 0:
                return
            yield piece
            left -= piece.length


def constant_arrivals(pieces: Iterable[Piece], duration: float) -> Iterator[float]:
    """Seconds at which requests are due, evenly spaced as the rate has it, before ``duration``."""
    begun, done, number = 0.0, 0.0, 0
    for piece in pieces:
        whole = piece.due(piece.length)
        while piece.peak > 0 and number - done < whole:
            at = begun + piece.reaches(number - done)
            if at >= duration:
                return
            yield at
            number += 1
        begun, done = begun + piece.length, done + whole


def poisson_arrivals(pieces: Iterable[Piece], duration: float, seed: int) -> Iterator[float]:
    """Seconds at which requests are due, as a Poisson process of the rate, before ``duration``."""
    drawn = random.Random(seed)
    begun = 0.0
    for piece in pieces:
        peak = piece.peak
        at = drawn.expovariate(peak) if peak > 0 else math.inf
        # the process has no memory, so each piece may begin afresh
        while at < piece.length:
            if begun + at >= duration:
                return
            if drawn.random() * peak < piece.rate(at):
                yield begun + at
            at += drawn.expovariate(peak)
        begun += piece.length
        if begun >= duration:
            return


def read_trace(path: Path) -> tuple[Arrival, ...]:
    """Read when requests are due: a line each with seconds since the beginning, and maybe rows.

    Values are separated by spaces or a comma; lines that begin with ``#`` are comments. Raises
    TableError with file and line for what is empty, out of order, negative or not a number.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"the trace {path} cannot be read: {reason}") from error
    found: list[Arrival] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            continue
        arrival = _arrival(line, f"{path}, line {number}")
        if found and arrival.at < found[-1].at:
            raise TableError(
                f"{path}, line {number}: {arrival.at:g} s comes before {found[-1].at:g} s; "
                "sort the lines by time"
            )
        found.append(arrival)
    if not found:
        raise TableError(f"{path} has no request; write a line for each: seconds, and maybe rows")
    return tuple(found)


def write_trace(path: Path, arrivals: Iterable[Arrival]) -> None:
    """Write arrivals so that ``read_trace`` reads the same."""
    lines = [f"{each.at!r} {each.rows}" if each.rows else repr(each.at) for each in arrivals]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _arrival(line: str, where: str) -> Arrival:
    words = line.replace(",", " ").split()
    if not words:
        raise TableError(f"{where} is empty; remove it")
    if len(words) > 2:
        raise TableError(f"{where} has {len(words)} values; write seconds, and maybe rows")
    try:
        at = float(words[0])
    except ValueError:
        raise TableError(f"{where}: '{words[0]}' is not a number of seconds") from None
    if "_" in words[0] or not math.isfinite(at) or at < 0:
        raise TableError(f"{where}: '{words[0]}' is not a time; it must be 0 or more")
    if at > _LONGEST_S:
        raise TableError(
            f"{where}: {words[0]} s is over {_LONGEST_S / 86400:.0f} days after the beginning; "
            "subtract the first time from all"
        )
    if len(words) == 1:
        return Arrival(at)
    rows = words[1]
    if not (rows.isascii() and rows.isdigit() and len(rows) < 9 and int(rows) > 0):
        raise TableError(f"{where}: '{rows}' is not a number of rows; it must be 1 or more")
    return Arrival(at, int(rows))
