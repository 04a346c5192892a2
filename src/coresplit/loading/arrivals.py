"""When requests are due: constant spacing, Poisson processes and traces; pure, no clock.

A rate over time is a sequence of pieces. Constant spacing puts request ``k`` where the integral of
the rate exceeds ``k``. A Poisson process with a changing rate is drawn by thinning: candidates come
at the highest rate of a piece, and each is kept with the probability of the rate over that highest
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
"""Longest trace; a later time is most likely absolute, in seconds since 1970."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """``length`` seconds in which the rate goes from ``start`` to ``end`` requests per second.

    The rate changes linearly, or, if ``wave`` is set, as one period of a cosine from ``start`` to
    ``end`` and back.
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
        """Return the requests per second, ``at`` seconds after the start of the piece."""
        if self.start == self.end:
            return self.start
        if self.wave:
            share = (1 - math.cos(2 * math.pi * at / self.length)) / 2
        else:
            share = at / self.length
        return self.start + (self.end - self.start) * share

    def due(self, at: float) -> float:
        """Return the integral of the rate over the first ``at`` seconds."""
        if self.start == self.end:
            return self.start * at
        if self.wave:
            turns = 2 * math.pi / self.length
            return self.start * at + (self.end - self.start) / 2 * (
                at - math.sin(turns * at) / turns
            )
        return self.start * at + (self.end - self.start) * at * at / (2 * self.length)

    def reaches(self, count: float) -> float:
        """Return when the integral first exceeds ``count``, which must be within the piece."""
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
    """A request due ``at`` seconds after the start, with ``rows`` rows; 0 for the default."""

    at: float
    rows: int = 0


def total_of(pieces: Sequence[Piece]) -> float:
    """Return the total length of the pieces in seconds."""
    return sum(piece.length for piece in pieces)


def forever(pieces: Sequence[Piece], duration: float) -> Iterator[Piece]:
    """Repeat the pieces until ``duration`` seconds are covered."""
    left = duration
    while left > 0:
        for piece in pieces:
            if left <= 0:
                return
            yield piece
            left -= piece.length


def constant_arrivals(pieces: Iterable[Piece], duration: float) -> Iterator[float]:
    """Yield the seconds before ``duration`` at which requests are due, evenly spaced by rate."""
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
    """Yield the seconds before ``duration`` at which requests are due, by a Poisson process."""
    drawn = random.Random(seed)
    begun = 0.0
    for piece in pieces:
        peak = piece.peak
        at = drawn.expovariate(peak) if peak > 0 else math.inf
        # the process has no memory, so each piece can start independently
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
    """Read a trace: one line per request, with seconds since the start and optionally rows.

    Values are separated by spaces or a comma; lines that begin with ``#`` are comments. Raises
    UsageError if the file cannot be read, TableError with file and line if a line is empty, out of
    order, negative or not a number.
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
        raise TableError(f"{path} has no request; write one per line: seconds, optionally rows")
    return tuple(found)


def write_trace(path: Path, arrivals: Iterable[Arrival]) -> None:
    """Write arrivals in the format of ``read_trace``."""
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
        raise TableError(f"{where} has {len(words)} values; write seconds, optionally rows")
    try:
        at = float(words[0])
    except ValueError:
        raise TableError(f"{where}: '{words[0]}' is not a number of seconds") from None
    if "_" in words[0] or not math.isfinite(at) or at < 0:
        raise TableError(f"{where}: '{words[0]}' is not a time; it must be 0 or more")
    if at > _LONGEST_S:
        raise TableError(
            f"{where}: {words[0]} s is over {_LONGEST_S / 86400:.0f} days after the start; "
            "subtract the first time from all"
        )
    if len(words) == 1:
        return Arrival(at)
    rows = words[1]
    if not (rows.isascii() and rows.isdigit() and len(rows) < 9 and int(rows) > 0):
        raise TableError(f"{where}: '{rows}' is not a number of rows; it must be 1 or more")
    return Arrival(at, int(rows))
