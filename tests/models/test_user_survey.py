from pathlib import Path

import pytest
import torch
from onnx import helper
from own_models import BATCH, built, save_graph, save_onnx, save_program, save_script
from torch import Tensor, nn
from torch.nn import functional

from coresplit.models import Survey, survey, survey_onnx
from coresplit.records import ModelInput


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return functional.scaled_dot_product_attention(query, key, value)


CASES = {
    "convolution": (nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), (3, 9, 9)),
    "groups": (nn.Conv2d(4, 8, (1, 3), groups=4), (4, 6, 7)),
    "one dimension": (nn.Conv1d(4, 6, 5), (4, 20)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (4, 5, 5)),
    "linear": (nn.Linear(7, 5), (7,)),
    "linear over a sequence": (nn.Linear(7, 5), (3, 7)),
    "network": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(144, 5)
        ),
        (3, 8, 8),
    ),
    "attention": (Attends(), (6, 8)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", [1, 2], ids=["fixed", "free"])
def test_operations_are_those_of_the_module_it_was_exported_from(
    tmp_path: Path, case: str, batch: int
) -> None:
    module, shape = CASES[case]
    example = torch.rand(batch, *shape)
    shapes = ({0: BATCH},) if batch > 1 else None
    path = save_onnx(module, tmp_path / "net.onnx", example, shapes=shapes)
    found = survey_onnx(path, (ModelInput(name="x", shape=shape),))
    wanted = survey(module.eval(), (example,))
    assert found.flops == wanted.flops > 0
    if case != "attention":
        assert found.largest_tensor == wanted.largest_tensor > 0


@pytest.mark.parametrize("kind", ["script", "program"])
def test_a_module_without_layers_is_surveyed_by_its_operators(tmp_path: Path, kind: str) -> None:
    module, shape = CASES["network"]
    example = torch.rand(2, *shape)
    wanted = survey(module.eval(), (example,))
    if kind == "script":
        model = built(save_script(module, tmp_path / "net.pt"), "3x8x8")
    else:
        path = save_program(module, tmp_path / "net.pt2", example, shapes=({0: BATCH},))
        model = built(path)
    assert model.module is not None
    assert survey(model.module, model.make_inputs(2, 0)) == wanted


def test_a_built_model_is_surveyed_by_its_own_inputs(tmp_path: Path) -> None:
    module = nn.Conv2d(3, 8, 3)
    path = save_onnx(module, tmp_path / "net.onnx", torch.rand(1, 3, 9, 9))
    model = built(path)
    assert model.onnx is not None
    assert survey_onnx(model.onnx, model.inputs) == survey(module, model.make_inputs(2, 0))


def test_products_beside_a_branch_are_known_and_those_inside_it_are_not(tmp_path: Path) -> None:
    def branch(operator: str) -> helper.GraphProto:  # type: ignore[name-defined]
        out = helper.make_tensor_value_info("z", 1, ["n", 3])
        return helper.make_graph([helper.make_node(operator, ["x", "x"], ["z"])], "g", [], [out])

    def found(operator: str) -> Survey:
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["c"], to=9),
            helper.make_node(
                "If", ["c"], ["i"], then_branch=branch(operator), else_branch=branch("Add")
            ),
            helper.make_node("Transpose", ["x"], ["t"]),
            helper.make_node("MatMul", ["x", "t"], ["y"]),
        ]
        path = save_graph(tmp_path / "net.onnx", nodes, {"x": ["n", 3]}, {"y": ["n", "n"]})
        return survey_onnx(path, (ModelInput(name="x", shape=(3,)),))

    assert found("Mul").flops == 2 * 3
    assert found("MatMul").flops == 0


def test_an_operator_of_unknown_shape_makes_the_operations_unknown(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=1),
        helper.make_node("Transpose", ["f"], ["t"]),
        helper.make_node("MatMul", ["t", "f"], ["y"]),
    ]
    path = save_graph(tmp_path / "net.onnx", nodes, {"x": ["n", 3]}, {"y": [None, None]})
    found = survey_onnx(path, (ModelInput(name="x", shape=(3,)),))
    assert found.flops == 0
