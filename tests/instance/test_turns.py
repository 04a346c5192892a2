"""Which inputs take turns."""

import pytest

from coresplit.instance.child.turns import in_turns, inputs_wanted

MIB = 2**20


@pytest.mark.parametrize(
    ("size", "cache", "count"),
    [(MIB, 4 * MIB, 5), (3 * MIB, 4 * MIB, 2), (64 * MIB, 4 * MIB, 2), (1024, 4 * MIB, 16)],
)
def test_inputs_are_together_larger_than_the_cache_within_bounds(
    size: int, cache: int, count: int
) -> None:
    assert inputs_wanted(size, cache) == count
    assert inputs_wanted(0, cache) == 16


def test_forwards_take_turns_and_begin_again() -> None:
    forward = in_turns([lambda: "a", lambda: "b", lambda: "c"])
    assert "".join(forward() for _ in range(7)) == "abcabca"
