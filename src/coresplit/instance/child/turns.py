"""Inputs that take turns, so that no forward finds its own in a cache."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TypeVar

FEWEST, MOST = 2, 16

Result = TypeVar("Result")


def inputs_wanted(size: int, cache: int) -> int:
    """How many inputs of ``size`` bytes are together larger than a cache; at least 2, at most 16.

    Where 16 do not fill the cache, what a forward writes in between has to do it.
    """
    return max(FEWEST, min(MOST, cache // max(1, size) + 1))


def in_turns(forwards: Sequence[Callable[[], Result]]) -> Callable[[], Result]:
    """A forward whose n-th call is that of the n-th of ``forwards``, beginning again at the end."""
    turns = cycle(forwards)

    def forward() -> Result:
        return next(turns)()

    return forward
