"""Models whose outputs prove nothing are prepared all the same, and say so."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from coresplit.errors import PrepareFailed
from coresplit.instance import InstanceSpec, Process, Ready
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec
from coresplit.records import UNCHECKED, ModelInput

pytestmark = pytest.mark.slow

CORE = inspect().usable_cores[:1]
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return {}
"""
LINE = ModelSpec(name="mine:Net", inputs=(ModelInput(name="x", shape=(4,)),))


def ready(folder: Path, monkeypatch: pytest.MonkeyPatch, returned: str, optimization: str) -> Ready:
    (folder / "mine.py").write_text(NET.format(returned))
    monkeypatch.chdir(folder)
    return _ready(LINE, optimization)


def _ready(model: ModelSpec, optimization: str) -> Ready:
    process = Process(InstanceSpec(model=model, optimization=optimization, cpus=CORE, home=CORE))
    try:
        found = process.wait_ready(timeout=120)
        assert process.time_forward_passes(batch=2, count=3, seconds=10, timeout=60).durations
        return found
    finally:
        process.close()


def test_outputs_that_hardly_depend_on_the_input_are_measured_and_not_called_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ready(tmp_path, monkeypatch, "x * 0.0 + 7.0", "script")
    assert found.facts[UNCHECKED] == "they hardly depend on the input"
    assert (found.compared, found.error, found.agreement) == (0, 0.0, None)


def test_there_is_nothing_to_prove_of_eager_outputs_that_hardly_depend_on_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ready(tmp_path, monkeypatch, "x * 0.0 + 7.0", "none")
    assert UNCHECKED not in found.facts
    assert found.compared > 0


@pytest.mark.parametrize("optimization", ["none", "script"])
def test_outputs_of_nan_are_measured_and_say_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimization: str
) -> None:
    found = ready(tmp_path, monkeypatch, "x * float('nan')", optimization)
    assert "NaN or infinity" in found.facts[UNCHECKED]
    assert "weights" in found.facts[UNCHECKED]


def test_outputs_that_are_shown_to_differ_are_no_case_of_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = "x * 0.0 + (9.0 if torch.jit.is_scripting() else 7.0)"
    with pytest.raises(PrepareFailed, match="outputs differ from eager by 29 %"):
        ready(tmp_path, monkeypatch, returned, "script")


def test_an_onnx_file_of_constant_weights_is_measured(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [0.0] * 12)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weights],
    )
    path = tmp_path / "net.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    found = _ready(ModelSpec(name=str(path)), "onnxruntime")
    assert found.facts[UNCHECKED] == "they hardly depend on the input"
