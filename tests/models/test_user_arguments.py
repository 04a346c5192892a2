import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.errors import UsageError
from coresplit.models import parse_input
from coresplit.models.input_spec import DTYPES, FLOATS, limits
from coresplit.records import ModelInput

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1) | st.sampled_from(
    ["input.1", "images:0", "model/x", "a=b"]
)
SHAPES = st.lists(st.integers(1, 2**20), max_size=5).map(tuple)


@st.composite
def inputs(draw: st.DrawFn) -> ModelInput:
    dtype = draw(st.sampled_from(DTYPES))
    low = high = None
    if dtype not in FLOATS and draw(st.booleans()):
        low, high = sorted(draw(st.tuples(*[st.integers(*limits(dtype))] * 2)))
    return ModelInput(name=draw(NAMES), shape=draw(SHAPES), dtype=dtype, low=low, high=high)


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_input(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(inputs())
def test_an_input_is_read_back_as_it_is_written(wanted: ModelInput) -> None:
    assert parse_input(str(wanted)) == wanted


@given(st.text())
def test_any_text_is_an_input_or_refused_in_one_message(text: str) -> None:
    try:
        found = parse_input(text)
    except UsageError as error:
        assert text in str(error)
    else:
        assert parse_input(str(found)) == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3x224x224", ModelInput(name="x", shape=(3, 224, 224))),
        ("10", ModelInput(name="x", shape=(10,))),
        ("scalar", ModelInput(name="x", shape=())),
        ("128:int64", ModelInput(name="x", shape=(128,), dtype="int64")),
        ("a = 5 ", ModelInput(name="a", shape=(5,))),
        ("images:0=3x8x8:float16", ModelInput(name="images:0", shape=(3, 8, 8), dtype="float16")),
        ("t=4:int8:-5--1", ModelInput(name="t", shape=(4,), dtype="int8", low=-5, high=-1)),
        ("t=4:int32:-5-3", ModelInput(name="t", shape=(4,), dtype="int32", low=-5, high=3)),
        (
            "ids=128:int64:0-30521",
            ModelInput(name="ids", shape=(128,), dtype="int64", low=0, high=30521),
        ),
    ],
)
def test_the_parts_of_an_input_are_read(text: str, wanted: ModelInput) -> None:
    assert parse_input(text) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not a shape such as 3x224x224, without the batch"),
        ("=3", "is not NAME=SHAPE:TYPE:LOW-HIGH"),
        ("ids=", "'' is not a shape"),
        ("ids=3:", "is not NAME=SHAPE:TYPE:LOW-HIGH"),
        ("ids=3:int64:0-1:2", "is not NAME=SHAPE:TYPE:LOW-HIGH"),
        ("ids=3x-1", "'3x-1' is not a shape"),
        ("ids=1,3", "'1,3' is not a shape"),
        ("ids=3x0", "every size must be above 0"),
        ("ids=3:int", "unknown type 'int'; use one of bool, int8,"),
        ("ids=3:bfloat16", "unknown type 'bfloat16'"),
        ("ids=3:float32:0-1", "a range is for integers"),
        ("ids=3:int64:5", "'5' is not a range such as 0-30521"),
        ("ids=3:int64:5-4", "5 to 4 is not a valid range of int64"),
        ("ids=3:uint8:0-256", "0 to 256 is not a valid range of uint8; use numbers from 0 to 255"),
        ("ids=3:bool:0-2", "use numbers from 0 to 1"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_with_the_part(text: str, reason: str) -> None:
    assert reason in refusal(text)
