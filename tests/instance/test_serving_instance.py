"""Rows of requests through a real instance of a server, beside eager forwards of the same model."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from served_rows import SIZE, Front, make_importable, model, spec
from torch import Tensor

from coresplit.errors import InstanceDied, PrepareFailed
from coresplit.instance import Arena, Process
from coresplit.instance.failures import error_of
from coresplit.instance.messages import Failure, Infer, Inferred, Rows, Serve
from coresplit.models import BuiltModel, ModelSpec, build
from coresplit.records import ModelOutput

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def importable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The networks can be imported, by instances too."""
    with pytest.MonkeyPatch.context() as patch:
        make_importable(tmp_path_factory.mktemp("modules"), patch)
        yield


@pytest.fixture(scope="module", params=["none", "script", "onnxruntime", "openvino"])
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """A ready instance of every kind of runtime for the tests that leave it as it was."""
    found = Front(spec(request.param))
    found.ready()
    yield found
    found.close()


@pytest.fixture
def own() -> Iterator[Front]:
    """A ready instance that a test may end."""
    found = Front(spec())
    found.ready()
    yield found
    found.close()


@pytest.fixture(scope="module")
def built() -> BuiltModel:
    return build(model())


def eager(built: BuiltModel, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    assert built.module is not None
    with torch.inference_mode():
        scores, ids = built.module(*inputs)
    return scores, ids


def same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    """Equal within rounding, ids exactly."""
    close = torch.allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    return close and torch.equal(found[1], expected[1])


def test_ready_tells_outputs_and_that_nothing_is_left_to_check(front: Front) -> None:
    ready = front.process.wait_ready()
    assert ready.outputs == (
        ModelOutput(name="output_0", shape=(5,), dtype="float32"),
        ModelOutput(name="output_1", shape=(4,), dtype="int64"),
    )
    assert [each.name for each in ready.inputs] == ["x", "ids", "mask"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_rows_are_what_an_eager_forward_gives(front: Front, built: BuiltModel, count: int) -> None:
    inputs = built.make_inputs(count, seed=count)
    rows = front.raw(inputs)
    before = front.process.wait_ready()
    found = front.infer(rows)
    assert before is front.process.wait_ready()
    assert found.refused == ("",)
    assert 0 < found.compute_s <= found.ended_at - found.started_at
    assert same(front.outputs(rows), eager(built, inputs))


def test_requests_joined_in_one_forward_get_their_own_rows(front: Front, built: BuiltModel) -> None:
    counts = (1, 2, 1)
    given = [built.make_inputs(count, seed=7 + count * n) for n, count in enumerate(counts)]
    requests = [front.raw(inputs) for inputs in given]
    front.infer(*requests)
    joined = [front.outputs(rows) for rows in requests]
    for inputs, found in zip(given, joined, strict=True):
        assert same(found, eager(built, inputs))
        alone = front.raw(inputs)
        front.infer(alone)
        assert same(found, front.outputs(alone))


def test_a_request_cut_over_two_commands_gives_the_same_rows(
    front: Front, built: BuiltModel
) -> None:
    inputs = built.make_inputs(5, seed=3)
    whole = front.raw(inputs)
    first = msgspec.structs.replace(whole, count=2)
    sizes, moved = (768, 32, 4), (20, 32)
    rest = Rows(
        count=3,
        inputs=tuple(
            at + 2 * size
            for at, size in zip(whole.inputs, sizes, strict=True)
            if isinstance(at, int)
        ),
        outputs=tuple(at + 2 * size for at, size in zip(whole.outputs, moved, strict=True)),
    )
    front.infer(first)
    front.infer(rest)
    assert same(front.outputs(whole), eager(built, inputs))


@pytest.mark.parametrize("form", ["flat", "nested"])
def test_json_text_gives_the_rows_of_the_same_numbers(
    front: Front, built: BuiltModel, form: str
) -> None:
    inputs = built.make_inputs(3, seed=11)
    shaped = inputs if form == "nested" else [each.reshape(-1) for each in inputs]
    texts = [json.dumps(each.tolist()) for each in shaped]
    raw = front.raw(inputs)
    whole = front.rows(3, [front.text(each, rows=3) for each in texts])
    last = front.rows(2, [front.text(each, skip=1, rows=3) for each in texts])
    mixed = front.rows(3, [raw.inputs[0], front.text(texts[1]), raw.inputs[2]])
    assert front.infer(raw, whole, last, mixed).refused == ("", "", "", "")
    expected = front.outputs(raw)
    assert same(front.outputs(whole), expected)
    assert same(front.outputs(mixed), expected)
    assert same(front.outputs(last), (expected[0][1:], expected[1][1:]))


def test_a_wrong_text_is_refused_and_its_neighbours_are_computed(
    front: Front, built: BuiltModel
) -> None:
    inputs = built.make_inputs(1, seed=5)
    before, after = front.raw(inputs), front.raw(inputs)
    wrong = front.rows(1, [before.inputs[0], front.text("[1, 2, 3]"), before.inputs[2]])
    also = front.rows(1, [before.inputs[0], front.text('[1, 2, 3, "4"]'), before.inputs[2]])
    found = front.infer(before, wrong, also, after)
    assert found.refused == (
        "",
        "input 'ids': 3 values where 4 were expected",
        "input 'ids': Expected `int`, got `str` - at `$[3]`",
        "",
    )
    for rows in (before, after):
        assert same(front.outputs(rows), eager(built, inputs))
    assert bytes(front.arena.view(wrong.outputs[1], 32)) == b"\xff" * 32


def test_nothing_but_wrong_text_needs_no_forward(front: Front) -> None:
    wrong = front.rows(1, [front.text("{}")] * 3)
    found = front.infer(wrong)
    assert found.refused == ("input 'x': not a list of values",)
    assert found.compute_s == 0.0


def test_any_byte_but_zero_is_true(front: Front, built: BuiltModel) -> None:
    x, ids, _ = built.make_inputs(1, seed=2)
    mask = torch.tensor([[True, False, True, True]])
    raw = front.raw([x, ids, mask])
    odd = front.rows(1, [*raw.inputs[:2], front.put(bytes([1, 0, 2, 255]))])
    front.infer(raw, odd)
    assert same(front.outputs(odd), front.outputs(raw))
    assert same(front.outputs(odd), eager(built, [x, ids, mask]))


def test_commands_are_answered_in_the_order_they_were_sent(front: Front, built: BuiltModel) -> None:
    given = [built.make_inputs(1, seed=n) for n in range(20)]
    requests = [front.raw(inputs) for inputs in given]
    for rows in requests:
        front.process.send(Infer(rows=(rows,)))
    found = [front.reply() for _ in requests]
    ends = [each.ended_at for each in found if isinstance(each, Inferred)]
    assert len(ends) == 20 and ends == sorted(ends)
    assert front.process.poll() is None
    for rows, inputs in zip(requests, given, strict=True):
        assert same(front.outputs(rows), eager(built, inputs))


def test_one_that_serves_can_still_be_timed(front: Front, built: BuiltModel) -> None:
    assert len(front.process.time_forward_passes(2, 3, 60, 60).durations) == 3
    inputs = built.make_inputs(2, seed=1)
    rows = front.raw(inputs)
    front.infer(rows)
    assert same(front.outputs(rows), eager(built, inputs))


def test_a_forward_that_fails_is_told_and_the_next_one_is_computed(
    own: Front, built: BuiltModel
) -> None:
    x, ids, mask = built.make_inputs(1, seed=0)
    own.process.send(Infer(rows=(own.raw([x, ids + 50, mask]),)))
    failed = own.reply()
    assert isinstance(failed, Failure) and failed.kind == "forward"
    assert str(error_of(own.process.spec, failed)).startswith("instance none t=1: IndexError")
    rows = own.raw([x, ids, mask])
    own.infer(rows)
    assert same(own.outputs(rows), eager(built, [x, ids, mask]))


@pytest.mark.parametrize(
    "changes",
    [{"count": 0}, {"inputs": (0, 0)}, {"outputs": (0,)}, {"outputs": (0, SIZE)}],
    ids=str,
)
def test_rows_that_are_none_are_a_failure(own: Front, changes: dict[str, object]) -> None:
    rows = Rows(count=1, inputs=(0, 0, 0), outputs=(0, 0))
    own.process.send(Infer(rows=(msgspec.structs.replace(rows, **changes),)))
    failed = own.reply()
    assert isinstance(failed, Failure) and failed.message.startswith("ValueError")


def test_a_killed_instance_is_told_while_it_computes(own: Front, built: BuiltModel) -> None:
    own.process.send(Infer(rows=(own.raw(built.make_inputs(4, seed=0)),) * 500))
    os.kill(own.process.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(InstanceDied, match="has closed its pipe"):
            while True:
                own.reply()
    with pytest.raises(InstanceDied, match="has closed its pipe"):
        own.process.send(Infer(rows=()))
    end = time.monotonic() + 30
    while own.process.death() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert "was ended by SIGKILL" in str(own.process.death())
    assert own.arena.view(0, 1) is not None


def test_outputs_that_mix_rows_cannot_be_served() -> None:
    front = Front(spec(model=model("served_networks:Crossed", ["x=4"])))
    try:
        failed = front.reply()
        assert isinstance(failed, Failure)
        error = error_of(front.process.spec, failed)
    finally:
        front.close()
    assert isinstance(error, PrepareFailed)
    assert str(error) == (
        "instance none t=1: output 'output' is of shape [1, 1] for a batch of 1 where [1, 4] was "
        "expected, so the rows of requests cannot be told apart in it"
    )


def test_a_file_keeps_the_names_of_its_outputs_while_it_is_measured_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["pixels"], ["kept"]),
        helper.make_node("Neg", ["pixels"], ["turned"]),
    ]
    pixels, turned, kept = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 6])
        for name in ("pixels", "turned", "kept")
    )
    graph = helper.make_graph(nodes, "graph", [pixels], [turned, kept])
    path = tmp_path / "two.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    process = Process(
        spec("onnxruntime", model=ModelSpec(name=str(path)), serve=None),
    )
    try:
        ready = process.wait_ready()
    finally:
        process.close()
    assert ready.outputs == (
        ModelOutput(name="turned", shape=(6,), dtype="float32"),
        ModelOutput(name="kept", shape=(6,), dtype="float32"),
    )


@pytest.mark.parametrize("batches", [(), (2, 4), (0, 1), (-1, 1)])
def test_batches_without_1_are_refused(batches: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be above 0 and include 1"):
        Serve(batches=batches, arena_size=SIZE)


def test_an_instance_of_a_server_needs_the_arena_that_was_told() -> None:
    arena = Arena.create(SIZE // 2)
    for wanted, given in itertools.product([spec(), spec(serve=None)], [None, arena]):
        if wanted.serve or given:
            with pytest.raises(ValueError, match="needs an arena of the size in its spec"):
                Process(wanted, given)
    arena.close()
