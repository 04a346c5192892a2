"""A request that is a whole batch gets bit for bit what it gets among others, wherever it lies."""

from collections.abc import Iterator, Sequence

import msgspec
import pytest
import torch
from served_rows import SIZE, Front, make_importable, model, spec
from torch import Tensor

from coresplit.instance.child.whole import MOST_KEPT
from coresplit.instance.messages import Failure, Infer, Rows
from coresplit.instance.transport import ALIGNMENT
from coresplit.models import BuiltModel, build

pytestmark = pytest.mark.slow
OUTPUT_BYTES = 20, 32


@pytest.fixture(scope="module", autouse=True)
def importable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The networks can be imported, by instances too."""
    with pytest.MonkeyPatch.context() as patch:
        make_importable(tmp_path_factory.mktemp("modules"), patch)
        yield


@pytest.fixture(scope="module", params=["none", "script", "compile", "onnxruntime", "openvino"])
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """A ready instance of every kind of runtime."""
    found = Front(spec(request.param))
    found.ready()
    yield found
    found.close()


@pytest.fixture(scope="module")
def built() -> BuiltModel:
    return build(model())


def placed(front: Front, data: bytes, shift: int) -> int:
    """Where the bytes lie, ``shift`` bytes behind an aligned place."""
    block = front.blocks.take(len(data) + 2 * ALIGNMENT)
    assert block is not None
    at = -(-block // ALIGNMENT) * ALIGNMENT + shift
    front.arena.view(at, len(data))[:] = data
    return at


def request(front: Front, inputs: Sequence[Tensor], shift: int) -> Rows:
    count = len(inputs[0])
    return Rows(
        count=count,
        inputs=tuple(placed(front, each.numpy().tobytes(), shift) for each in inputs),
        outputs=tuple(placed(front, b"\xff" * size * count, shift) for size in OUTPUT_BYTES),
    )


def answered(front: Front, rows: Rows) -> list[bytes]:
    """The bytes of each output."""
    pairs = zip(rows.outputs, OUTPUT_BYTES, strict=True)
    return [bytes(front.arena.view(at, size * rows.count)) for at, size in pairs]


def among_others(front: Front, inputs: Sequence[Tensor]) -> list[bytes]:
    """The outputs of the same batch where it is put together, as for several requests."""
    rows = request(front, inputs, 0)
    wrong = front.rows(1, [front.text("{}")] * len(inputs))
    assert front.infer(rows, wrong).refused[0] == ""
    return answered(front, rows)


@pytest.mark.parametrize("shift", [0, 1, 4, 8, 32])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_place_in_the_arena_gives_the_same_bits(
    front: Front, built: BuiltModel, count: int, shift: int
) -> None:
    inputs = built.make_inputs(count, seed=count)
    rows = request(front, inputs, shift)
    given = [bytes(front.arena.view(at, 4)) for at in rows.inputs if isinstance(at, int)]
    for _ in range(2):
        found = front.infer(rows)
        assert 0 < found.compute_s <= found.ended_at - found.started_at
        assert answered(front, rows) == among_others(front, inputs)
    assert given == [bytes(front.arena.view(at, 4)) for at in rows.inputs if isinstance(at, int)]


def test_what_lies_in_a_place_is_read_anew_each_time(front: Front, built: BuiltModel) -> None:
    given = [built.make_inputs(2, seed=seed) for seed in range(3)]
    expected = [among_others(front, inputs) for inputs in given]
    one, other = request(front, given[0], 0), request(front, given[2], 0)
    for inputs, bits in zip(given, expected, strict=True):
        for at, each in zip(one.inputs, inputs, strict=True):
            assert isinstance(at, int)
            front.arena.view(at, each.nbytes)[:] = each.numpy().tobytes()
        front.infer(one)
        front.infer(other)
        assert answered(front, one) == bits
        assert answered(front, other) == expected[2]


def test_more_places_than_are_kept_are_computed_too(front: Front, built: BuiltModel) -> None:
    inputs = built.make_inputs(1, seed=4)
    expected = among_others(front, inputs)
    rows = request(front, inputs, 0)
    second = placed(front, b"\0" * 32 * (MOST_KEPT + 9), 0)
    for place in [*range(MOST_KEPT + 9), 0]:
        outputs = (rows.outputs[0], second + 32 * place)
        moved = msgspec.structs.replace(rows, outputs=outputs)
        front.infer(moved)
        assert answered(front, moved) == expected


@pytest.mark.parametrize("shift", [0, 1])
def test_any_byte_but_zero_is_true_wherever_it_lies(
    front: Front, built: BuiltModel, shift: int
) -> None:
    x, ids, _ = built.make_inputs(1, seed=2)
    rows = request(front, [x, ids, torch.tensor([[True, False, True, True]])], shift)
    front.infer(rows)
    expected = answered(front, rows)
    assert isinstance(rows.inputs[2], int)
    front.arena.view(rows.inputs[2], 4)[:] = bytes([1, 0, 2, 255])
    front.infer(rows)
    assert answered(front, rows) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": (SIZE - 64, 0, 0)},
        {"inputs": (-64, 0, 0)},
        {"inputs": (0, 0)},
        {"outputs": (0, SIZE)},
        {"outputs": (0,)},
        {"count": -1},
    ],
    ids=str,
)
def test_rows_that_leave_the_arena_are_a_failure_each_time(
    front: Front, built: BuiltModel, changes: dict[str, object]
) -> None:
    rows = request(front, built.make_inputs(1, seed=0), 0)
    expected = front.infer(rows).refused
    for _ in range(2):
        front.process.send(Infer(rows=(msgspec.structs.replace(rows, **changes),)))
        failed = front.reply()
        assert isinstance(failed, Failure) and failed.message.startswith("ValueError")
    assert front.infer(rows).refused == expected


@pytest.fixture
def turning() -> Iterator[Front]:
    """A ready instance of a network whose outputs are views of its input."""
    found = Front(spec(model=model("served_networks:Turned", ["x=3x16"])))
    found.ready()
    yield found
    found.close()


def test_outputs_that_are_views_of_the_input_are_written_row_by_row(turning: Front) -> None:
    x = torch.randn(2, 3, 16)
    at = placed(turning, x.numpy().tobytes(), 0)
    expected = [x.transpose(1, 2), x[:, ::2, 1:], x[:, 0, :1].expand(-1, 3)]
    sizes = [each.nbytes for each in expected]
    places = tuple(placed(turning, bytes(size), 8) for size in sizes)
    turning.infer(Rows(count=2, inputs=(at,), outputs=places))
    for place, each in zip(places, expected, strict=True):
        found = bytes(turning.arena.view(place, each.nbytes))
        assert found == each.contiguous().numpy().tobytes()
