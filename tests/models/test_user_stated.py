import pytest

from coresplit.errors import UsageError
from coresplit.models import parse_input
from coresplit.models.user.declared_inputs import Stated, settle
from coresplit.records import ModelInput

IDS = Stated(name="ids", shape=("seq",), dtype="int64")
MASK = Stated(name="mask", shape=("seq",), dtype="int64", low=1, high=1)
IMAGE = Stated(name="image", shape=(3, "height", "width"))
CHOICE = Stated(name="image", shape=("channels", "height", "width"), default=(3, 224, 224))


def settled(stated: tuple[Stated, ...], *given: str) -> tuple[ModelInput, ...]:
    return settle("net.onnx", stated, [parse_input(text) for text in given])


def refusal(stated: tuple[Stated, ...], *given: str) -> str:
    with pytest.raises(UsageError) as caught:
        settled(stated, *given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_stated_needs_nothing_given() -> None:
    assert settled((Stated(name="image", shape=(3, 8, 8)),)) == (
        ModelInput(name="image", shape=(3, 8, 8)),
    )


def test_a_free_dimension_of_which_nothing_is_said_is_refused_by_name() -> None:
    assert refusal((IDS,)) == (
        "net.onnx: dimension 'seq' of input 'ids' is dynamic; give it: input=ids=128:int64"
    )


def test_a_dimension_that_is_given_for_one_input_holds_for_all_that_share_it() -> None:
    ids, mask = settled((IDS, MASK), "ids=32:int64:0-99")
    assert ids == ModelInput(name="ids", shape=(32,), dtype="int64", low=0, high=99)
    assert mask == ModelInput(name="mask", shape=(32,), dtype="int64", low=1, high=1)


def test_inputs_keep_the_order_of_the_model_and_their_range_unless_another_is_given() -> None:
    found = settled((IDS, MASK), "mask=16:int64", "ids=16:int64")
    assert [str(each) for each in found] == ["ids=16:int64", "mask=16:int64:1-1"]
    assert settled((MASK,), "mask=16:int64:0-1")[0].low == 0


def test_a_single_input_may_go_without_its_name() -> None:
    assert settled((IMAGE,), "3x32x48") == (ModelInput(name="image", shape=(3, 32, 48)),)


def test_a_default_shape_gives_way_to_what_is_given() -> None:
    assert settled((CHOICE,))[0].shape == (3, 224, 224)
    assert settled((CHOICE,), "3x160x160")[0].shape == (3, 160, 160)


def test_two_sizes_for_one_dimension_are_refused() -> None:
    assert refusal((IDS, MASK), "ids=32:int64", "mask=31:int64") == (
        "input mask=31:int64 does not fit net.onnx, which takes mask=seq:int64 (input)"
    )


@pytest.mark.parametrize("given", ["image=1x32x32", "image=3x32", "image=3x32x32:float64"])
def test_a_shape_or_type_that_does_not_fit_is_refused_with_what_does(given: str) -> None:
    assert refusal((IMAGE,), given).endswith(
        "does not fit net.onnx, which takes image=3xheightxwidth:float32 (input)"
    )


def test_an_unknown_name_is_refused_with_all_that_there_are() -> None:
    assert refusal((IDS, MASK), "id=32:int64", "mask=32:int64") == (
        "net.onnx has no input 'id'; it takes ids=seq:int64 mask=seq:int64"
    )


def test_a_name_given_twice_is_refused() -> None:
    assert refusal((IDS,), "ids=3:int64", "ids=4:int64").startswith("input 'ids' is given twice")
