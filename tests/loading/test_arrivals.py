"""When requests are due: exact numbers, and properties of processes and traces."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresplit.errors import TableError, UsageError
from coresplit.loading.arrivals import (
    Arrival,
    Piece,
    constant_arrivals,
    forever,
    poisson_arrivals,
    read_trace,
    total_of,
    write_trace,
)
from coresplit.loading.shapes import constant, parse_shape

RATES = st.floats(0, 200)
LENGTHS = st.floats(0.1, 20)
PIECES = st.lists(
    st.builds(Piece, length=LENGTHS, start=RATES, end=RATES, wave=st.booleans()),
    min_size=1,
    max_size=4,
)


def due(pieces: list[Piece], at: float) -> float:
    """The integral of the rate, piece by piece."""
    found = 0.0
    for piece in pieces:
        found += piece.due(min(max(at, 0.0), piece.length))
        at -= piece.length
    return found


def test_a_constant_rate_has_one_spacing() -> None:
    assert list(constant_arrivals(constant(4), 1.5)) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_nothing_is_due_while_the_rate_is_zero() -> None:
    pieces = parse_shape("step:0@10s,5@1s")
    assert list(constant_arrivals(pieces, 60)) == pytest.approx([10, 10.2, 10.4, 10.6, 10.8])
    assert min(poisson_arrivals(pieces, 60, 1)) > 10


def test_a_ramp_gets_denser_by_the_square_root() -> None:
    # the integral of a rate of t is t^2 / 2, so request k is due at sqrt(2 k)
    found = list(constant_arrivals(parse_shape("ramp:0..10@10s"), 60))
    assert len(found) == 50
    assert found == pytest.approx([math.sqrt(2 * k) for k in range(50)], abs=1e-9)


def test_a_wave_is_symmetric_and_half_way_up_on_average() -> None:
    (piece,) = parse_shape("diurnal:2..10@1m")
    assert [piece.rate(at) for at in (0, 15, 30, 45, 60)] == pytest.approx([2, 6, 10, 6, 2])
    assert piece.due(60) == pytest.approx(360)
    assert len(list(constant_arrivals([piece], 60))) == 360


def test_pieces_follow_each_other_and_begin_again() -> None:
    pieces = parse_shape("step:2@1s,4@1s")
    once = list(constant_arrivals(pieces, 10))
    assert once == pytest.approx([0, 0.5, 1.0, 1.25, 1.5, 1.75])
    again = list(constant_arrivals(forever(pieces, 3.0), 3.0))
    assert again == pytest.approx([*once, 2.0, 2.5])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("step:5,50@30s", [(30, 5, 5), (30, 50, 50)]),
        ("step:5@10s,50@30s", [(10, 5, 5), (30, 50, 50)]),
        ("ramp:5..50@1m", [(60, 5, 50)]),
        ("ramp:5..50..50..5@20s", [(20, 5, 50), (20, 50, 50), (20, 50, 5)]),
        ("spike:5..50@10s/60s", [(25, 5, 5), (10, 50, 50), (25, 5, 5)]),
        ("ramp:0..8@2s + step:8@3s", [(2, 0, 8), (3, 8, 8)]),
    ],
)
def test_a_shape_is_read(text: str, pieces: list[tuple[float, float, float]]) -> None:
    found = parse_shape(text)
    assert [(each.length, each.start, each.end) for each in found] == pieces
    assert total_of(found) == sum(length for length, _, _ in pieces)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a shape"),
        ("wave:1..2@3s", "is not a shape"),
        ("step:5,50", "'50' has no time after an @"),
        ("step:5@", "'' is not a duration"),
        ("step:@5s", "'' is not a rate"),
        ("step:-5@5s", "'-5' is not a rate"),
        ("step:nan@5s", "'nan' is not a rate"),
        ("step:0@5s", "never asks for a request"),
        ("ramp:5@5s", "a first and a last rate"),
        ("spike:5..50@10s", "after a slash"),
        ("spike:5..50@10s/10s", "shorter than the total time"),
        ("diurnal:5@10m", "two rates"),
        ("ramp:0..5@5s+", "is not a shape"),
    ],
)
def test_what_is_no_shape_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_shape(text)


@given(PIECES, st.floats(0.1, 60))
@settings(deadline=None, max_examples=60)
def test_even_arrivals_are_as_many_as_the_integral_and_in_order(
    pieces: list[Piece], duration: float
) -> None:
    found = list(constant_arrivals(pieces, duration))
    assert all(before <= after for before, after in pairwise(found))
    assert all(0 <= at < duration for at in found)
    assert abs(len(found) - due(pieces, duration)) <= 1 + 1e-6
    for number, at in enumerate(found):
        assert due(pieces, at) == pytest.approx(number, abs=1e-4)


@given(PIECES, st.floats(0.1, 60), st.integers(0, 10))
@settings(deadline=None, max_examples=60)
def test_poisson_arrivals_are_in_order_and_repeat_with_their_seed(
    pieces: list[Piece], duration: float, seed: int
) -> None:
    found = list(poisson_arrivals(pieces, duration, seed))
    assert found == list(poisson_arrivals(pieces, duration, seed))
    assert all(before < after for before, after in pairwise(found))
    assert all(0 <= at < duration for at in found)
    # seven standard deviations of a Poisson number, and more where few are due
    expected = due(pieces, duration)
    assert abs(len(found) - expected) <= 7 * math.sqrt(expected) + 12


def test_poisson_gaps_have_the_spread_of_an_exponential() -> None:
    found = list(poisson_arrivals(constant(1000), 20, 3))
    gaps = [after - before for before, after in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1e-3, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)
    assert found != list(poisson_arrivals(constant(1000), 20, 4))


def test_thinning_follows_the_rate() -> None:
    found = list(poisson_arrivals(parse_shape("ramp:0..1000@20s"), 20, 5))
    early = sum(at < 10 for at in found)
    assert len(found) == pytest.approx(10_000, rel=0.05)
    assert early == pytest.approx(2500, rel=0.1)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 99_999_999)), min_size=1, max_size=30).map(
        sorted
    )
)
@settings(deadline=None)
def test_a_trace_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, given_pairs: list[tuple[float, int]]
) -> None:
    arrivals = tuple(Arrival(at, rows) for at, rows in given_pairs)
    path = tmp_path_factory.mktemp("trace") / "trace.txt"
    write_trace(path, arrivals)
    assert read_trace(path) == arrivals


def test_a_trace_may_have_comments_commas_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("# seconds, rows\n0,4\n0.5 , 2\n0.5\n")
    assert read_trace(path) == (Arrival(0.0, 4), Arrival(0.5, 2), Arrival(0.5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no request"),
        ("# nothing\n", "has no request"),
        ("0\n\n1\n", "line 2 is empty"),
        ("0\n2\n1\n", "line 3: 1 s comes before 2 s"),
        ("0\n-1\n", "line 2: '-1' is not a time"),
        ("nan\n", "line 1: 'nan' is not a time"),
        ("inf\n", "line 1: 'inf' is not a time"),
        ("1_000\n", "line 1: '1_000' is not a time"),
        ("1764470000.5\n", "line 1: 1764470000.5 s is over 116 days"),
        ("0\nsoon\n", "line 2: 'soon' is not a number of seconds"),
        ("0 1 2\n", "line 1 has 3 values"),
        ("0 0\n", "line 1: '0' is not a number of rows"),
        ("0 -4\n", "line 1: '-4' is not a number of rows"),
        ("0 1.5\n", "line 1: '1.5' is not a number of rows"),
        ("0 123456789\n", "line 1: '123456789' is not a number of rows"),
    ],
)
def test_a_damaged_trace_is_refused_by_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with pytest.raises(TableError, match=said) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)


def test_a_trace_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_trace(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not text"):
        read_trace(tmp_path / "bytes")
