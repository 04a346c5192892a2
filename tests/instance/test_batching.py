"""Rows of requests dealt out to forwards."""

from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.instance.child.batching import Piece, forwards, split

SIZES = st.sets(st.integers(2, 9), max_size=3).map(lambda some: tuple(sorted({1, *some})))


@pytest.mark.parametrize(
    ("total", "sizes", "expected"),
    [
        (0, (1, 2), ()),
        (2, (1, 2, 4), (2,)),
        (7, (1, 2, 4), (4, 2, 1)),
        (9, (1, 2, 4), (4, 4, 1)),
        # the largest first would need three
        (6, (1, 3, 4), (3, 3)),
        (3, (1,), (1, 1, 1)),
    ],
)
def test_rows_are_split_into_the_fewest_batches(
    total: int, sizes: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert split(total, sizes) == expected


@given(st.integers(0, 12), SIZES)
def test_no_fewer_batches_add_up(total: int, sizes: tuple[int, ...]) -> None:
    found = split(total, sizes)
    assert sum(found) == total
    assert list(found) == sorted(found, reverse=True)
    for count in range(len(found)):
        assert all(sum(each) != total for each in combinations_with_replacement(sizes, count))


@given(st.lists(st.integers(0, 12), max_size=6), SIZES)
def test_every_row_is_in_one_forward_and_in_order(
    counts: list[int], sizes: tuple[int, ...]
) -> None:
    rows: list[tuple[int, int]] = []
    for size, pieces in forwards(counts, sizes):
        places: list[int] = []
        for piece in pieces:
            rows += [(piece.part, piece.first + row) for row in range(piece.rows)]
            places += range(piece.at, piece.at + piece.rows)
        assert places == list(range(size))
    assert rows == [(part, row) for part, count in enumerate(counts) for row in range(count)]


def test_a_request_is_cut_where_a_forward_is_full() -> None:
    assert list(forwards([1, 4], (1, 4))) == [
        (4, (Piece(part=0, first=0, at=0, rows=1), Piece(part=1, first=0, at=1, rows=3))),
        (1, (Piece(part=1, first=3, at=0, rows=1),)),
    ]
