"""Parsing of durations, shares, number lists and names, at the edge only."""

import difflib
import re
from collections.abc import Collection
from itertools import pairwise

from coresplit.errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds in ``90s``, ``10m``, ``1.5h`` or ``250ms``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"'{text}' is not a duration; write for example 90s, 10m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_share(text: str) -> float:
    """Fraction in ``2%``; between 0 and 100 %, both excluded."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if match is None or not 0 < float(match[1]) < 100:
        raise UsageError(f"'{text}' is not a share; write for example 2%")
    return float(match[1]) / 100


MOST = 2**20
"""Most inputs in a batch: what can be planned within seconds."""

MOST_CORES = 8192
"""Most cores of a machine: as many as Linux can be built for."""


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """Ascending positive integers in ``1-16``, ``1,2,4`` or ``1,2,4..1024`` (doubling on).

    ``a,b..c`` goes on from ``b`` by the ratio ``b/a`` where that is a whole number above one,
    and the list must end exactly on ``c``. ``what`` names the list in messages.
    """
    numbers: list[int] = []
    for part in text.split(","):
        numbers.extend(_parse_part(part.strip(), numbers, text, what))
    for before, after in pairwise(numbers):
        if after == before:
            raise UsageError(f"{what} '{text}' repeats {after}; name each value once")
        if after < before:
            raise UsageError(f"{what} '{text}' is not ascending at {after}; sort the list")
    return tuple(numbers)


def _parse_part(part: str, before: list[int], text: str, what: str) -> list[int]:
    if not part:
        raise UsageError(f"{what} '{text}' has an empty entry; write for example 1,2,4")
    match = re.fullmatch(r"([+-]?\d{1,30})(?:(-|\.\.)(\d{1,30}))?", part)
    if match is None:
        raise UsageError(f"{what} '{text}': '{part}' is not a whole number or range such as 1-16")
    first = int(match[1])
    last = int(match[3]) if match[2] else first
    if first <= 0:
        raise UsageError(f"{what} '{text}': {first} is not positive; the smallest value is 1")
    if last < first:
        raise UsageError(f"{what} '{text}': the range {part} runs backwards")
    if last > MOST:
        raise UsageError(f"{what} '{text}': {last} is too large; the largest value is {MOST}")
    if match[2] == "..":
        return _progression(before, first, last, text, what)
    if last - first > 100_000:
        raise UsageError(f"{what} '{text}': the range {part} has too many values")
    return list(range(first, last + 1))


def _progression(before: list[int], first: int, last: int, text: str, what: str) -> list[int]:
    ratio = first // before[-1] if before and first % before[-1] == 0 else 0
    if ratio < 2:
        raise UsageError(
            f"{what} '{text}': '..' goes on from two values with a whole ratio, "
            "for example 1,2,4..1024"
        )
    values = [first]
    while values[-1] < last:
        values.append(values[-1] * ratio)
    if values[-1] != last:
        raise UsageError(f"{what} '{text}': steps of x{ratio} from {first} do not reach {last}")
    return values


def unknown_name(what: str, name: str, known: Collection[str]) -> UsageError:
    """The refusal of a name that is not among the known ones, with the closest of them."""
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
    return UsageError(f"unknown {what} '{name}'; {guess}")


def parse_size(text: str) -> int:
    """Bytes in ``512MiB``, ``4GiB`` or ``1.5 GiB``; raises UsageError for what is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(KiB|MiB|GiB|TiB)", text.strip())
    if match is None:
        raise UsageError(f"'{text}' is no size; write for example 512MiB or 4GiB")
    return round(float(match[1]) * 1024.0 ** (1 + ("KiB", "MiB", "GiB", "TiB").index(match[2])))
