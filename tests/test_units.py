import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.errors import CoresplitError, UsageError
from coresplit.format import format_duration, format_numbers, format_share, format_size
from coresplit.units import parse_duration, parse_numbers, parse_share


def test_number_lists_know_ranges_and_doubling() -> None:
    assert parse_numbers("1-4,8", "threads") == (1, 2, 3, 4, 8)
    assert parse_numbers("1,2,4..64", "batches") == (1, 2, 4, 8, 16, 32, 64)
    assert parse_numbers("1,3..27", "batches") == (1, 3, 9, 27)
    assert parse_numbers(" 7 ", "batches") == (7,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "batches '' has an empty entry; write for example 1,2,4"),
        ("1,,2", "batches '1,,2' has an empty entry; write for example 1,2,4"),
        ("0", "batches '0': 0 is not positive; the smallest value is 1"),
        ("-3", "batches '-3': -3 is not positive; the smallest value is 1"),
        ("4,2", "batches '4,2' is not ascending at 2; sort the list"),
        ("2,2", "batches '2,2' repeats 2; name each value once"),
        ("8-4", "batches '8-4': the range 8-4 runs backwards"),
        ("two", "batches 'two': 'two' is not a whole number or range such as 1-16"),
        ("1.5", "batches '1.5': '1.5' is not a whole number or range such as 1-16"),
        ("1,2,4..1000", "batches '1,2,4..1000': steps of x2 from 4 do not reach 1000"),
        (
            "4..64",
            "batches '4..64': '..' goes on from two values with a whole ratio, "
            "for example 1,2,4..1024",
        ),
        ("1-999999", "batches '1-999999': the range 1-999999 has too many values"),
    ],
)
def test_a_bad_number_list_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_numbers(text, "batches")
    assert str(caught.value) == message


@given(st.text(alphabet="0123456789,.-+ x", max_size=30))
def test_any_number_list_is_ascending_or_refused(text: str) -> None:
    try:
        numbers = parse_numbers(text, "batches")
    except CoresplitError:
        return
    assert numbers == tuple(sorted(set(numbers)))
    assert numbers[0] >= 1


@given(st.sets(st.integers(1, 200), min_size=1))
def test_formatted_number_lists_read_back(numbers: set[int]) -> None:
    ascending = tuple(sorted(numbers))
    assert parse_numbers(format_numbers(ascending), "threads") == ascending


def test_durations_and_shares_are_parsed_to_si() -> None:
    assert [parse_duration(text) for text in ("90s", "10m", "1.5h", "250ms", "2min")] == [
        90.0,
        600.0,
        5400.0,
        0.25,
        120.0,
    ]
    assert parse_share("2%") == 0.02
    assert parse_share(" 0.5 % ") == 0.005


@pytest.mark.parametrize("text", ["10", "m", "-5m", "0s", "5 years", "nan s", ""])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2", "0%", "100%", "-1%", "%", "two%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a share"):
        parse_share(text)


def test_numbers_are_shown_with_three_digits_and_their_unit() -> None:
    assert [format_duration(s) for s in (2e-8, 8.42e-4, 0.0123, 1.0, 1.08, 99.4, 125, 7260)] == [
        "20.0 ns",
        "842 us",
        "12.3 ms",
        "1.00 s",
        "1.08 s",
        "99.4 s",
        "2 min 05 s",
        "2 h 01 min",
    ]
    assert [format_size(size) for size in (512, 1536, 25e9, 5e12)] == [
        "512 B",
        "1.50 KiB",
        "23.3 GiB",
        "4.55 TiB",
    ]
    assert [format_share(share) for share in (0.0042, 0.031, 0.37)] == ["0.42 %", "3.1 %", "37 %"]
