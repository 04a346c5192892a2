"""Distribute the rows of several requests over forwards."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple


class Piece(NamedTuple):
    """``rows`` rows of one request in one forward.

    They start at row ``first`` of request ``part`` and at row ``at`` of the forward.
    """

    part: int
    first: int
    at: int
    rows: int


def forwards(
    counts: Sequence[int], sizes: tuple[int, ...]
) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """Yield the batch and the pieces of each forward, for requests with ``counts`` rows."""
    left = [(part, 0, count) for part, count in enumerate(counts) if count]
    left.reverse()
    for size in split(sum(counts), sizes):
        pieces = []
        at = 0
        while at < size:
            part, first, count = left.pop()
            taken = min(count, size - at)
            pieces.append(Piece(part, first, at, taken))
            at += taken
            if taken < count:
                left.append((part, first + taken, count - taken))
        yield size, tuple(pieces)


@lru_cache(maxsize=1024)
def split(total: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the fewest ``sizes`` that add up to ``total``, largest first; needs a size of 1."""
    falling = sorted(sizes, reverse=True)
    fewest: list[tuple[int, ...]] = [()]
    for rows in range(1, total + 1):
        found = ((size, *fewest[rows - size]) for size in falling if size <= rows)
        # on a tie, min takes the first, which begins with the largest size
        fewest.append(min(found, key=len))
    return fewest[total]
