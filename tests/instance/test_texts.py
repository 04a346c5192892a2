"""Tensors that come as JSON text, right and wrong."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coresplit.instance.child.texts import WrongText, rows_in, tensor_in
from coresplit.models.input_spec import DTYPES, parse_input

REAL = [name for name in DTYPES if not name.startswith("complex")]


def read(text: str, wanted: str = "x=2x2", rows: int | None = None, least: int = 1) -> object:
    """The values of a text as nested lists."""
    return tensor_in(memoryview(text.encode()), parse_input(wanted), rows, least).tolist()


def refusal(text: str, wanted: str = "x=2x2", rows: int | None = None, least: int = 1) -> str:
    with pytest.raises(WrongText) as caught:
        read(text, wanted, rows, least)
    return str(caught.value)


@pytest.mark.parametrize("dtype", REAL)
@given(data=st.data())
def test_every_value_of_every_type_comes_back(dtype: str, data: st.DataObject) -> None:
    kind = np.dtype(dtype)
    finite = {"allow_nan": False, "allow_infinity": False} if kind.kind == "f" else {}
    values = data.draw(
        arrays.arrays(kind, (3, 2, 2), elements=arrays.from_dtype(kind, **finite))  # type: ignore[arg-type]
    )
    nested = json.dumps(values.tolist(), indent=data.draw(st.sampled_from([None, 1])))
    flat = json.dumps(values.reshape(-1).tolist())
    for text in (nested, flat):
        found = tensor_in(memoryview(text.encode()), parse_input(f"x=2x2:{dtype}"), 3, 1)
        assert found.dtype == kind
        assert np.array_equal(found, values)


def test_flat_and_nested_lists_are_the_same_tensor() -> None:
    whole = [[[1.0, 2.0], [3.0, 4.0]]]
    assert read("[1, 2, 3, 4]") == whole
    assert read(" [ [\n[1, 2], [3, 4.0]]] ") == whole


def test_a_scalar_a_row_is_a_flat_list() -> None:
    assert read("[1, 2, 3]", "n=scalar:int64") == [1, 2, 3]


def test_truth_values_may_be_written_as_numbers() -> None:
    assert read("[true, 0, 1, false]", "mask=4:bool") == [[True, False, True, False]]


@pytest.mark.parametrize(
    ("text", "wanted", "rows", "expected"),
    [
        ("[1, 2, 3]", "x=2x2", None, "input 'x': 3 values where 4 were expected"),
        ("[1,2,3,4,5]", "x=2x2", None, "input 'x': 5 values where 4 were expected"),
        ("[1,2,3,4]", "x=2x2", 2, "input 'x': 4 values where 8 were expected"),
        ("[1,2,3,4,5,6,7,8]", "x=2x2", 1, "input 'x': 8 values where 4 were expected"),
        ("[]", "x=2x2", None, "input 'x': 0 values where 4 were expected"),
        ("[[1,2],[3,4]]", "x=2x2", None, "input 'x': nested 2 deep, must be flat or 3"),
        ("[[[1,2,3]]]", "x=2x2", None, "input 'x': a row has shape [1, 3], must be [2, 2]"),
        ("[[[1,2],[3]]]", "x=2x2", None, "input 'x': its inner lists are of different lengths"),
        ('["1"]', "x=1", None, "input 'x': Expected `float`, got `str` - at `$[0]`"),
        ("[[1], 2]", "x=1", None, "input 'x': Expected `array`, got `int` - at `$[1]`"),
        ("[1.5]", "n=1:int64", None, "input 'n': Expected `int`, got `float` - at `$[0]`"),
        ("[true]", "n=1:int64", None, "input 'n': Expected `int`, got `bool` - at `$[0]`"),
        ("[128]", "n=1:int8", None, "input 'n': a value is out of range for int8"),
        ("[-1]", "n=1:uint8", None, "input 'n': a value is out of range for uint8"),
        ("[18446744073709551616]", "n=1:uint64", None, "input 'n': a value is out of range"),
        ("[9223372036854775808]", "n=1:int64", None, "input 'n': a value is out of range"),
        ("[2]", "n=1:bool", None, "input 'n': a value is out of range for bool"),
        ("[65520]", "x=1:float16", None, "input 'x': a value is out of range for float16"),
        ("[1e39]", "x=1", None, "input 'x': a value is out of range for float32"),
        ("[1e400]", "x=1:float64", None, "input 'x': Number out of range - at `$[0]`"),
        ("[1]", "x=1:complex64", None, "input 'x': complex numbers have no JSON; send them in"),
        ("[NaN]", "x=1", None, "input 'x': JSON is malformed: invalid character"),
        ("[1, 2", "x=1", None, "input 'x': Input data was truncated"),
        ("1", "x=1", None, "input 'x': not a list of values"),
        ("", "x=1", None, "input 'x': not a list of values"),
        ("[" * 100_000, "x=1", None, "input 'x': nested 100000 deep, must be flat or 2"),
    ],
)
def test_a_wrong_text_is_told_why(text: str, wanted: str, rows: int | None, expected: str) -> None:
    assert refusal(text, wanted, rows).startswith(expected)


def test_fewer_rows_than_are_needed_are_refused() -> None:
    assert read("[1, 2, 3, 4]", "x=2", None, least=2) == [[1, 2], [3, 4]]
    assert refusal("[1, 2]", "x=2", None, least=2) == "input 'x': 2 values where 4 were expected"


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("shape", ["2x3", "scalar", "5"])
def test_rows_of_a_long_text_are_those_of_the_whole(
    indent: int | None, flat: bool, shape: str
) -> None:
    wanted = parse_input(f"x={shape}:int64")
    values = np.arange(40_000 * int(np.prod(wanted.shape))).reshape(-1, *wanted.shape)
    text = json.dumps((values.reshape(-1) if flat else values).tolist(), indent=indent)
    view = memoryview(f" {text}\n".encode())
    for first, last in ((0, 1), (0, 40_000), (7, 9), (20_000, 20_100), (39_999, 40_000)):
        assert np.array_equal(rows_in(view, wanted, 40_000, first, last), values[first:last])
    assert np.array_equal(tensor_in(view, wanted, None, 1), values)


def test_a_long_text_of_another_length_is_refused_before_it_is_decoded() -> None:
    wanted = parse_input("x=4")
    for text in (b"[" + b"1," * 9000 + b"1]", b"[" + b"[]," * 9000 + b"[]]", b"[" + b"1," * 9000):
        with pytest.raises(WrongText, match="input 'x': 9001 values where 8 were expected"):
            tensor_in(memoryview(text), wanted, 2, 2)
        with pytest.raises(WrongText, match="input 'x': 9001 values where 8 were expected"):
            rows_in(memoryview(text), wanted, 2, 0, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"1," * 4999 + b'"a,b"]',
        b"[" + b"[]," * 4999 + b"[]]",
        b"[[1,2],[3,4,5],[6]," + b"[7,8]," * 2496 + b"[7,8]]",
        b"[" + b"1," * 4999 + b"1",
        b"[" + b"1," * 4999 + b"]",
        b'["' + b"," * 4999 + b'"]',
        b"[" + b"," * 4999 + b"]",
        b"[" + b"1," * 4999 + b"[1]]",
    ],
    ids=["string", "empty", "ragged", "open", "lacking", "commas quoted", "commas", "deeper"],
)
def test_a_long_wrong_text_is_refused_by_those_who_ask_for_its_wrong_rows(text: bytes) -> None:
    wanted = parse_input("x=2")
    refused = 0
    for first in range(0, 2500, 100):
        with contextlib.suppress(WrongText):
            rows_in(memoryview(text), wanted, 2500, first, first + 100)
            continue
        refused += 1
    assert refused > 0
