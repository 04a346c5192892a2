import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from own_models import (
    BATCH,
    Net,
    Texts,
    built,
    exporting,
    outputs,
    refused,
    save_program,
    save_script,
)
from torch import Tensor, nn

from coresplit.models import survey
from coresplit.models.user.flatten import Flat

IMAGE = "x=3x8x8"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def write(folder: Path, body: str, name: str = "mine") -> None:
    path = folder / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"import torch\nfrom torch import nn\n{body}\n")


def forward(returned: str, takes: str = "x") -> str:
    return (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(4, 3)\n"
        f"    def forward(self, {takes}):\n"
        f"        return {returned}\n"
    )


def test_a_program_of_torch_export_states_its_inputs(tmp_path: Path) -> None:
    net = Net()
    path = save_program(net, tmp_path / "net.pt2", torch.rand(2, 3, 8, 8), shapes=({0: BATCH},))
    model = built(path)
    assert [str(each) for each in model.inputs] == [f"{IMAGE}:float32"]
    assert model.parameters == sum(each.numel() for each in net.parameters())
    with torch.inference_mode():
        assert torch.allclose(outputs(model, 5)[0], net(*model.make_inputs(5, 0)), atol=1e-6)
    assert survey(model.module, model.make_inputs(2, 0)).flops > 0  # type: ignore[arg-type]


def test_a_program_draws_integers_as_in_its_example_and_asks_for_free_lengths(
    tmp_path: Path,
) -> None:
    ids = torch.tensor([[3, 40, 7], [9, 9, 9]])
    shapes = ({0: BATCH, 1: torch.export.Dim("seq")},) * 2
    path = save_program(Texts(), tmp_path / "t.pt2", ids, torch.ones(2, 3), shapes=shapes)
    assert "of input 'ids' is dynamic; give it: input=ids=128:int64:3-40" in refused(path)
    model = built(path, "ids=5:int64")
    assert model.inputs[0].high == 40
    assert outputs(model, 4)[0].shape == (4, 5, 4)


def test_a_program_takes_inputs_by_keyword_and_gives_dicts(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor, *, scale: Tensor) -> dict[str, Tensor]:
            return {"b": x * scale, "a": x + 1}

    program = torch.export.export(
        Net(),
        (torch.rand(2, 4),),
        {"scale": torch.rand(2, 1)},
        dynamic_shapes={"x": {0: BATCH}, "scale": {0: BATCH}},
    )
    torch.export.save(program, tmp_path / "net.pt2")
    model = built(tmp_path / "net.pt2")
    x, scale = model.make_inputs(3, 0)
    first, second = outputs(model)
    assert torch.equal(first, x * scale)
    assert torch.equal(second, x + 1)


def test_a_program_for_one_batch_is_refused(tmp_path: Path) -> None:
    path = save_program(Net(), tmp_path / "net.pt2", torch.rand(1, 3, 8, 8))
    assert refused(path) == (
        f"{path}: the batch of input 'x' is fixed at 1; export it again with a dynamic batch "
        "(dynamic_shapes of torch.export.export)"
    )


def test_a_program_with_nested_inputs_is_refused(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
            return pair[0] + pair[1]

    pair = (torch.rand(2, 3), torch.rand(2, 3))
    shapes = (({0: BATCH}, {0: BATCH}),)
    path = save_program(Net(), tmp_path / "net.pt2", pair, shapes=shapes)  # type: ignore[arg-type]
    assert "takes arguments that are nested or no tensors" in refused(path)


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with ZipFile(path, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
    assert f"'{path}' cannot be loaded by torch.export.load: " in refused(path)


def test_a_script_runs_on_the_inputs_that_are_given(tmp_path: Path) -> None:
    net = Net()
    path = save_script(net, tmp_path / "net.pt")
    model = built(path, "3x8x8")
    assert isinstance(model.module, torch.jit.ScriptModule)
    with torch.inference_mode():
        assert torch.allclose(outputs(model)[0], net(*model.make_inputs(3, 0)), atol=1e-6)
    assert survey(model.module, model.make_inputs(2, 0)).flops > 0


def test_a_frozen_script_is_named_by_its_file(tmp_path: Path) -> None:
    hashes = set()
    for index in range(2):
        with exporting():
            frozen = torch.jit.freeze(torch.jit.script(Net().eval()))
            torch.jit.save(frozen, tmp_path / f"{index}.pt")
        hashes.add(built(tmp_path / f"{index}.pt", IMAGE).weights_hash)
    assert len(hashes) == 2


def test_a_script_without_inputs_says_what_its_forward_takes(tmp_path: Path) -> None:
    path = save_script(Texts(), tmp_path / "net.pth")
    assert refused(path) == (
        f"{path} does not declare its inputs: its forward takes (ids, mask); give each, "
        "without the batch: input=ids=3x224x224:float32"
    )
    assert "give 'mask' as well: input=mask=" in refused(path, "ids=5:int64:0-49")
    assert "has no input 'idz'; it takes (ids, mask)" in refused(path, "idz=5", "mask=5")
    model = built(path, "mask=5", "ids=5:int64:0-49")
    assert [each.name for each in model.inputs] == ["ids", "mask"]


def test_a_wrong_shape_is_refused_with_the_cause(tmp_path: Path) -> None:
    path = save_script(nn.Linear(4, 3), tmp_path / "net.pt")
    message = refused(path, "5")
    assert "cannot run on inputs of shape [3, 5] float32: RuntimeError: " in message


def test_a_pickle_is_refused_without_trust_and_a_module_loaded_with_it(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(Net(), path)
    message = refused(path, IMAGE, trust=False)
    assert message.startswith(f"'{path}' is a pickle, not TorchScript")
    assert "if it holds weights" in message and "trust=True" in message
    assert outputs(built(path, IMAGE))[0].shape == (3, 5)


def test_a_state_dict_is_refused_even_with_trust(tmp_path: Path) -> None:
    for legacy in (False, True):
        path = tmp_path / "net.pth"
        torch.save(Net().state_dict(), path, _use_new_zipfile_serialization=not legacy)
        assert "is a pickle, not TorchScript" in refused(path, IMAGE, trust=False)
        message = refused(path, IMAGE)
        assert message.startswith(f"'{path}' contains a OrderedDict, not a module")
        assert message.endswith(f"give weights={path}")


def test_a_pickle_whose_code_is_missing_is_refused(folder: Path) -> None:
    write(folder, "Net = nn.Identity", "mine_gone")
    write(folder, forward("self.fc(x)"), "mine_gone")
    import importlib

    sys.path.insert(0, str(folder))
    torch.save(importlib.import_module("mine_gone").Net(), folder / "net.pt")
    assert outputs(built("net.pt", "4"))[0].shape == (3, 3)
    del sys.modules["mine_gone"]
    (folder / "mine_gone.py").unlink()
    assert "'net.pt' cannot be unpickled: ModuleNotFoundError" in refused("net.pt", "4")


@pytest.mark.parametrize(
    "attribute", ["Net", "make", "net", "Holder.make"], ids=["class", "function", "module", "deep"]
)
def test_a_python_module_is_found_in_the_current_folder(folder: Path, attribute: str) -> None:
    body = (
        forward("self.fc(x)")
        + "def make():\n    return Net()\n"
        + "net = Net()\n"
        + "class Holder:\n    make = make\n"
    )
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").touch()
    write(folder, body, "mine/deep")
    model = built(f"mine.deep:{attribute}", "4")
    assert model.parameters == 15
    assert not model.module.training  # type: ignore[union-attr]
    assert outputs(model)[0].shape == (3, 3)


def test_weights_that_python_draws_come_from_the_seed(folder: Path) -> None:
    write(folder, forward("self.fc(x)"))
    state = torch.random.get_rng_state()
    first, again, other = (built("mine:Net", "4", seed=seed) for seed in (1, 1, 2))
    assert first.weights_hash == again.weights_hash != other.weights_hash
    assert torch.equal(state, torch.random.get_rng_state())


def test_weights_of_a_file_go_into_a_python_model(folder: Path) -> None:
    write(folder, forward("self.fc(x)"))
    state = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    torch.save(state, folder / "weights.pth")
    model = built("mine:Net", "4", weights="weights.pth")
    (inputs,) = model.make_inputs(3, 0)
    assert torch.allclose(outputs(model)[0][:, 0], inputs.sum(1), atol=1e-6)
    torch.save({"fc.weight": torch.ones(3, 4)}, folder / "weights.pth")
    assert "is for another model" in refused("mine:Net", "4", weights="weights.pth")


Pair = namedtuple("Pair", "first second")


@dataclass
class Result:
    scores: Tensor
    more: dict[str, object]


class Returns(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> object:
        return {
            "tensor": x,
            "tuple": (x, x + 1),
            "named": Pair(x, x + 1),
            "list": [x, x + 1],
            "dict": {"b": x, "a": x + 1, "none": None},
            "dataclass": Result(scores=x, more={"inner": [x + 1], "name": "text"}),
            "nested dataclass": [Result(scores=x, more={"inner": Result(x + 1, {})})],
        }[self.kind]


@pytest.mark.parametrize("kind", ["tensor", "tuple", "named"])
def test_a_module_that_returns_tensors_is_not_wrapped(kind: str, folder: Path) -> None:
    torch.save(Returns(kind), folder / "net.pt")
    assert isinstance(built("net.pt", "4").module, Returns)


@pytest.mark.parametrize("kind", ["list", "dict", "dataclass", "nested dataclass"])
def test_nested_outputs_become_a_tuple_in_their_order(kind: str, folder: Path) -> None:
    torch.save(Returns(kind), folder / "net.pt")
    model = built("net.pt", "4")
    assert isinstance(model.module, Flat)
    (x,) = model.make_inputs(3, 0)
    first, second = outputs(model)
    assert torch.equal(first, x)
    assert torch.equal(second, x + 1)
    program = torch.export.export(model.module, (x,), dynamic_shapes=(({0: BATCH},),))
    assert len(program.module()(x)) == 2


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("'text'", "returns str without a tensor in it"),
        ("()", "returns tuple without a tensor in it"),
        ("self.fc(x).mean()", "has no batch dimension: output 0 has shape [] for a batch of 1"),
        ("self.fc(x)[:1]", "output 0 has shape [1, 3] for a batch of 3; write its forward for"),
        ("self.fc(x).view(1, 3)", "runs on a batch of 1 but not of 3 (RuntimeError: shape"),
        ("torch.rand(x.shape[0], 3)", "are random (dropout or sampling left on?)"),
        ("x.mul_(2)", "changes its inputs in place"),
        ("self.fc(x, x)", "cannot run on inputs of shape [3, 4] float32: TypeError: "),
    ],
)
def test_outputs_that_cannot_be_measured_over_batches_are_refused(
    folder: Path, returned: str, reason: str
) -> None:
    write(folder, forward(returned))
    message = refused("mine:Net", "4")
    assert "mine:Net" in message
    assert reason in message


def test_outputs_that_are_not_finite_are_taken(folder: Path) -> None:
    write(folder, forward("self.fc(x) / 0 * 0"))
    model = built("mine:Net", "4")
    assert outputs(model)[0].isnan().all()


def test_dropout_that_stays_on_is_named_as_random(folder: Path) -> None:
    write(folder, forward("nn.functional.dropout(self.fc(x), 0.5, training=True)"))
    assert refused("mine:Net", "4").startswith("the outputs of mine:Net are random (dropout")


def test_parameters_that_are_left_out_are_passed_around_by_name(folder: Path) -> None:
    write(folder, forward("self.fc(x) * scale", "x, shift=None, scale=1, *, gain=None"))
    model = built("mine:Net", "scale=1", "x=4")
    assert [each.name for each in model.inputs] == ["x", "scale"]
    assert isinstance(model.module, Flat)
    assert model.module.keywords == ("scale",)
    plain = built("mine:Net", "x=4")
    assert not isinstance(plain.module, Flat)


def test_a_forward_of_any_arguments_takes_inputs_as_they_are_given(folder: Path) -> None:
    write(folder, forward("self.fc(xs[0]) * xs[1]", "*xs"))
    model = built("mine:Net", "a=4", "b=1")
    assert [each.name for each in model.inputs] == ["a", "b"]
    assert outputs(model)[0].shape == (3, 3)


@pytest.mark.parametrize(
    ("body", "name", "reason"),
    [
        ("raise ValueError('no\\nluck')", "mine:Net", "importing mine failed: ValueError: no"),
        ("import nothing_there", "mine:Net", "No module named 'nothing_there'"),
        ("", "mine.deep:Net", "importing mine.deep failed: ModuleNotFoundError"),
        ("", "mine:Net", "'Net' is not in mine"),
        ("Net = 5", "mine:Net", "is a int; name a torch.nn.Module or a function that returns one"),
        ("def Net(): return 5", "mine:Net", "is a int; name a torch.nn.Module"),
        ("def Net(size): return 5", "mine:Net", "calling Net() failed: TypeError"),
        ("", "mine_elsewhere:Net", "no module 'mine_elsewhere' found"),
    ],
)
def test_a_python_model_that_is_not_there_is_refused(
    folder: Path, body: str, name: str, reason: str
) -> None:
    write(folder, body)
    assert reason in refused(name, "4")
