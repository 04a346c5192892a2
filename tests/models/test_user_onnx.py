from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from own_models import BATCH, Net, Texts, built, refused, save_graph, save_onnx, save_program
from torch import Tensor, nn

from coresplit.errors import UsageError
from coresplit.models import BuiltModel, ModelSpec, build
from coresplit.optimizations.onnxruntime import OnnxRuntimeModel
from coresplit.records import ModelInput

FREE = ({0: BATCH},)


def ran(model: BuiltModel, batch: int) -> Tensor:
    session = onnxruntime.InferenceSession(str(model.onnx), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    inputs = model.make_inputs(batch, 0)
    feed = dict(zip(names, (each.numpy() for each in inputs), strict=True))
    return torch.from_numpy(session.run(None, feed)[0])


def test_an_onnx_file_with_a_free_batch_is_taken_as_it_is(tmp_path: Path) -> None:
    path = save_onnx(Net(), tmp_path / "net.onnx", torch.rand(2, 3, 8, 8), shapes=FREE)
    model = built(path)
    assert model.module is None
    assert model.onnx == path
    assert model.inputs == (ModelInput(name="x", shape=(3, 8, 8)),)
    assert ran(model, 5).shape == (5, 5)


def test_the_hash_names_the_weights_and_the_parameters_are_those_of_the_initializers(
    tmp_path: Path,
) -> None:
    linear = nn.Linear(6, 5)
    path = save_onnx(linear, tmp_path / "a.onnx", torch.rand(2, 6), shapes=FREE)
    model = built(path)
    assert model.parameters == 35
    assert len(model.weights_hash) == 16
    assert built(path).weights_hash == model.weights_hash
    other = save_onnx(nn.Linear(6, 5), tmp_path / "b.onnx", torch.rand(2, 6), shapes=FREE)
    assert built(other).weights_hash != model.weights_hash


def test_a_batch_fixed_at_one_is_freed_where_rows_stay_the_same(tmp_path: Path) -> None:
    net = Net().eval()
    path = save_onnx(net, tmp_path / "net.onnx", torch.rand(1, 3, 8, 8))
    before = path.read_bytes()
    model = built(path)
    assert model.onnx is not None and model.onnx != path
    assert path.read_bytes() == before
    with torch.inference_mode():
        expected = net(*model.make_inputs(7, 0))
    assert torch.allclose(ran(model, 7), expected, atol=1e-5)


@pytest.mark.parametrize("wanted", [[1, 12], [1, -1], [1, 3, 4]])
def test_reshapes_to_a_constant_batch_are_freed_with_it(tmp_path: Path, wanted: list[int]) -> None:
    shape = numpy_helper.from_array(np.array(wanted, dtype=np.int64), "shape")
    nodes = [
        helper.make_node("Constant", [], ["s"], value=shape),
        helper.make_node("Reshape", ["x", "s"], ["y"], allowzero=1),
    ]
    path = save_graph(
        tmp_path / "net.onnx", nodes, {"x": [1, 3, 2, 2]}, {"y": [None] * len(wanted)}
    )
    assert ran(built(path), 5).shape[0] == 5


def test_a_freed_file_is_kept_where_the_caller_says(tmp_path: Path) -> None:
    path = save_onnx(Net(), tmp_path / "net.onnx", torch.rand(1, 3, 8, 8))
    asked = []

    def keep(kind, key, make):  # type: ignore[no-untyped-def]
        asked.append((kind, set(key)))
        make(tmp_path)
        return tmp_path

    model = build(ModelSpec(name=str(path)), keep)
    assert model.onnx == tmp_path / "model.onnx"
    assert asked == [("batch", {"file", "onnx"})]


def test_a_batch_that_cannot_be_freed_is_refused_by_name(tmp_path: Path) -> None:
    class Mixes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean()

    path = save_onnx(Mixes(), tmp_path / "net.onnx", torch.rand(1, 6))
    assert refused(path) == (
        f"{path}: its batch is fixed at 1 and cannot be made dynamic (output 0 of 3 inputs at once "
        "differs from that of one); export it again with a dynamic batch "
        "(dynamic_shapes of torch.onnx.export)"
    )


def test_a_batch_that_a_constant_is_joined_to_is_refused(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((1, 2), np.float32), "w")
    node = helper.make_node("Concat", ["x", "w"], ["y"], axis=1)
    path = save_graph(tmp_path / "net.onnx", [node], {"x": [1, 3]}, {"y": [1, 5]}, weights=[weight])
    assert "its batch is fixed at 1 and cannot be made dynamic (" in refused(path)


def test_a_free_batch_that_the_outputs_do_not_follow_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0)
    path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3]}, {"y": []})
    assert "has no batch dimension: output 0 has shape [] for a batch of 1" in refused(path)


def test_a_free_dimension_beyond_the_batch_is_asked_for_by_name(tmp_path: Path) -> None:
    seq = torch.export.Dim("seq")
    shapes = ({0: BATCH, 1: seq}, {0: BATCH, 1: seq})
    example = (torch.randint(0, 50, (2, 6)), torch.ones(2, 6))
    path = save_onnx(Texts(), tmp_path / "t.onnx", *example, shapes=shapes)
    assert refused(path) == (
        f"{path}: dimension 'seq' of input 'ids' is dynamic; give it: input=ids=128:int64"
    )
    model = built(path, "ids=16:int64:0-49")
    assert [str(each) for each in model.inputs] == ["ids=16:int64:0-49", "mask=16:float32"]
    assert ran(model, 3).shape == (3, 16, 4)


def test_unnamed_dimensions_are_free_too(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    path = save_graph(tmp_path / "net.onnx", [node], {"x": [None, None]}, {"y": [None, None]})
    assert "dimension '1 of x' of input 'x' is dynamic" in refused(path)
    assert built(path, "9").inputs[0].shape == (9,)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("image=3x8x8", "has no input 'image'; it takes x=3x8x8:float32"),
        ("x=3x9x9", "input x=3x9x9:float32 does not fit"),
        ("x=3x8x8:float64", "input x=3x8x8:float64 does not fit"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_what_does(
    tmp_path: Path, given: str, reason: str
) -> None:
    path = save_onnx(Net(), tmp_path / "net.onnx", torch.rand(2, 3, 8, 8), shapes=FREE)
    assert reason in refused(path, given)


@pytest.mark.parametrize(
    "kind", [TensorProto.BOOL, TensorProto.UINT64, TensorProto.INT8, TensorProto.FLOAT16]
)
def test_a_model_of_any_type_is_tried_and_prepared(tmp_path: Path, kind: int) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3]}, {"y": ["n", 3]}, kind=kind)
    model = built(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = model.make_inputs(2, 0)
    (output,) = OnnxRuntimeModel(session, path).bind(inputs)()
    assert torch.equal(output, inputs[0])


def test_an_input_without_a_batch_dimension_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "s"], ["y"])
    path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3], "s": []}, {"y": ["n", 3]})
    assert "input 's' has no batch dimension" in refused(path)


def test_random_outputs_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    path = save_graph(tmp_path / "net.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", 3]})
    assert f"the outputs of {path} are random (dropout or sampling left on?)" in refused(path)


@pytest.mark.parametrize("batch", ["n", 1])
def test_outputs_that_are_not_finite_are_taken(tmp_path: Path, batch: str | int) -> None:
    node = helper.make_node("Log", ["x"], ["y"])
    path = save_graph(tmp_path / "net.onnx", [node], {"x": [batch, 3]}, {"y": [batch, 3]})
    assert built(path).inputs[0].shape == (3,)


def test_texts_are_refused_by_the_type_of_the_input(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    path = save_graph(
        tmp_path / "n.onnx", [node], {"x": ["n", 3]}, {"y": ["n", 3]}, kind=TensorProto.STRING
    )
    assert "input 'x' is of type" in refused(path)


def test_weights_beside_the_file_are_found_hashed_and_missed(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    save_onnx(Net(), tmp_path / "all.onnx", torch.rand(2, 3, 8, 8), shapes=FREE)
    model = onnx.load(tmp_path / "all.onnx")
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=64)
    data = tmp_path / "net.data"
    first = built(path).weights_hash
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert built(path).weights_hash != first
    data.write_bytes(content[:-4])
    assert refused(path) == (
        f"'net.data', the weights of '{path}', is truncated; download it again"
    )
    data.unlink()
    assert refused(path) == (
        f"'{path}' has its weights in 'net.data', which is missing; copy it to {tmp_path}"
    )


def test_a_fixed_batch_with_weights_beside_the_file_is_freed(tmp_path: Path) -> None:
    save_onnx(Net(), tmp_path / "all.onnx", torch.rand(1, 3, 8, 8))
    path = tmp_path / "net.onnx"
    model = onnx.load(tmp_path / "all.onnx")
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=64)
    assert ran(built(path), 4).shape == (4, 5)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = save_onnx(Net(), tmp_path / "net.onnx", torch.rand(2, 3, 8, 8), shapes=FREE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    assert f"'{path}' is damaged, truncated or not an ONNX model" in refused(path)


@pytest.mark.parametrize("content", [b"hello world", b"\x00" * 100, b"\x08\x07"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert f"'{path}' is damaged, truncated or not an ONNX model" in refused(path)


def test_an_invalid_graph_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["nothing"], ["y"])
    path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3]}, {"y": ["n", 3]})
    assert f"'{path}' is not a valid ONNX model: ValidationError: " in refused(path)


def test_an_operator_that_onnx_runtime_lacks_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Magic", ["x"], ["y"], domain="my.own")
    path = save_graph(tmp_path / "net.onnx", [node], {"x": ["n", 3]}, {"y": ["n", 3]})
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("my.own", 1))
    onnx.save(model, path)
    assert f"'{path}' cannot be loaded by ONNX Runtime: " in refused(path)


def test_a_program_of_torch_export_under_the_name_of_onnx_is_refused(tmp_path: Path) -> None:
    path = save_program(Net(), tmp_path / "net.onnx.pt2", torch.rand(2, 3, 8, 8))
    path = path.rename(tmp_path / "net.onnx")
    assert refused(path) == (
        f"'{path}' is a zip archive, not an ONNX model; export the model again"
    )


def test_weights_and_size_are_refused_for_a_file_that_has_them(tmp_path: Path) -> None:
    path = save_onnx(Net(), tmp_path / "net.onnx", torch.rand(2, 3, 8, 8), shapes=FREE)
    assert "contains its weights already; leave out weights" in refused(path, weights="w.pth")
    assert "has no selectable size; give its shapes with input" in refused(path, size=9)
    with pytest.raises(UsageError):
        build(ModelSpec(name=str(path), seed=-1))


@pytest.mark.parametrize("size", [-1, 0])
def test_a_size_that_is_none_is_asked_for(tmp_path: Path, size: int) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = save_graph(tmp_path / "net.onnx", nodes, {"x": ["n", size]}, {"y": ["n", size]})
    assert "is dynamic; give it: input=x=128:float32" in refused(path)


def test_an_input_that_no_machine_can_hold_is_refused(tmp_path: Path) -> None:
    sizes: list[int | str | None] = ["n", 2**62, 2**62]
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = save_graph(tmp_path / "net.onnx", nodes, {"x": sizes}, {"y": sizes})
    assert f"'{path}' is damaged: input 'x' takes more than" in refused(path)


def test_a_name_that_is_no_text_is_damage(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["gone"], ["z"])]
    path = save_graph(tmp_path / "net.onnx", nodes, {"x": ["n", 4]}, {"y": ["n", 4]})
    path.write_bytes(path.read_bytes().replace(b"gone", b"go\xffe"))
    assert f"'{path}' is damaged" in refused(path)
