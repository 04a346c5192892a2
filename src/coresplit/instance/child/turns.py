"""Rotating inputs, so that no forward finds its input in a cache."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TypeVar

FEWEST, MOST = 2, 16

Result = TypeVar("Result")


def inputs_wanted(size: int, cache: int) -> int:
    """Return how many inputs of ``size`` bytes exceed a cache; at least 2, at most 16.

    If 16 do not fill the cache, the data written by the forwards in between must.
    """
    return max(FEWEST, min(MOST, cache // max(1, size) + 1))


def in_turns(forwards: Sequence[Callable[[], Result]]) -> Callable[[], Result]:
    """Return a forward whose calls cycle through ``forwards``."""
    turns = cycle(forwards)

    def forward() -> Result:
        return next(turns)()

    return forward
