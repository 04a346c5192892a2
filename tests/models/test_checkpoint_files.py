import argparse
import os
import pickle
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from coresplit.errors import UsageError
from coresplit.models import BuiltModel, ModelSpec, build
from coresplit.models.checkpoint import load_weights
from coresplit.models.initialization import fill
from coresplit.models.zoo.inception import Inception3

State = dict[str, Tensor]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


class Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (str(self.mark),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    with warnings.catch_warnings(record=True) as noise, pytest.raises(UsageError) as caught:
        warnings.simplefilter("always")
        load_weights(small(), path)
    assert noise == []
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


def module_of(model: BuiltModel) -> nn.Module:
    assert model.module is not None
    return model.module


@cache
def trained() -> State:
    module = Inception3(auxiliary=True)
    fill(module, seed=7)
    return dict(module.state_dict())


def test_a_published_checkpoint_with_its_auxiliary_head_loads(path: Path) -> None:
    saved(path, trained())
    model = build(ModelSpec(name="inception", weights=str(path), imagenet_images=False))
    loaded = module_of(model).state_dict()
    assert model.parameters == 23_834_568
    assert all(torch.equal(loaded[name], trained()[name]) for name in loaded)


def test_the_hash_of_a_checkpoint_is_that_of_its_file_whatever_images_it_takes(path: Path) -> None:
    saved(path, trained())
    with_scale = build(ModelSpec(name="inception", weights=str(path)))
    without = build(ModelSpec(name="inception", weights=str(path), imagenet_images=False))
    assert with_scale.weights_hash == without.weights_hash
    first = "Conv2d_1a_3x3.conv.weight"
    folded = module_of(with_scale).state_dict()[first]
    torch.testing.assert_close(folded[:, 0], module_of(without).state_dict()[first][:, 0] * 0.458)


def test_another_seed_of_checkpoint_has_another_hash(path: Path) -> None:
    spec = ModelSpec(name="inception", weights=str(path))
    saved(path, trained())
    before = build(spec).weights_hash
    saved(path, trained() | {"fc.bias": torch.ones(1000)})
    assert build(spec).weights_hash != before


def test_an_old_checkpoint_without_batch_counters_loads(path: Path) -> None:
    state = {k: v + 1 for k, v in small().state_dict().items() if "num_batches" not in k}
    module = small()
    load_weights(module, saved(path, state))
    assert torch.equal(module.state_dict()["1.running_var"], torch.full((4,), 2.0))


@pytest.mark.parametrize("zipped", [True, False])
def test_both_file_formats_of_torch_load(path: Path, zipped: bool) -> None:
    state = {name: tensor + 1 for name, tensor in small().state_dict().items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    module = small()
    load_weights(module, path)
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())


def test_a_training_checkpoint_of_a_data_parallel_model_loads(path: Path) -> None:
    state = {f"module.{name}": tensor + 1 for name, tensor in small().state_dict().items()}
    module = small()
    load_weights(module, saved(path, {"epoch": 3, "state_dict": state}))
    assert torch.equal(module.state_dict()["0.bias"], state["module.0.bias"])


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(path: Path, kept: float, zipped: bool) -> None:
    torch.save(small().state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert refusal(path) == (
        "weights 'FILE' is truncated, damaged or not a PyTorch checkpoint; "
        "download or save it again"
    )


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html>not found", b"hello\nworld", b"\x00" * 64, b""]
)
def test_a_file_that_is_no_checkpoint_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "PyTorch checkpoint" in refusal(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_a_file_with_code_is_refused_and_the_code_not_run(
    path: Path, tmp_path: Path, save: str, protocol: int
) -> None:
    content = {"weight": Code(tmp_path / "ran")}
    if save == "torch":
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert "holds code, objects or a pickle protocol above 2" in refusal(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [small(), {"args": argparse.Namespace(a=1)}])
def test_a_whole_model_or_its_options_are_refused_as_objects(path: Path, content: object) -> None:
    assert "torch.save(model.state_dict(), path)" in refusal(saved(path, content))


def test_a_torchscript_archive_is_refused_by_name(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(small()), path)
    assert refusal(path).startswith("weights 'FILE' is a TorchScript archive; save only")


@pytest.mark.parametrize(
    ("content", "kind"), [([1, 2], "list"), (torch.zeros(3), "Tensor"), ({}, "dict"), (5, "int")]
)
def test_what_is_no_state_dict_is_refused(path: Path, content: object, kind: str) -> None:
    assert refusal(saved(path, content)).startswith(f"weights 'FILE' holds a {kind} instead of")


def test_another_model_is_refused_with_the_first_keys_and_their_number(path: Path) -> None:
    state = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(2, 2)).state_dict()
    assert refusal(saved(path, state)) == (
        "weights 'FILE' is for another model: 4 missing keys, first '1.weight'; "
        "2 unexpected keys, first '2.weight'"
    )


def test_one_missing_key_is_named_in_the_singular(path: Path) -> None:
    state = small().state_dict()
    del state["0.bias"]
    assert refusal(saved(path, state)).endswith("another model: 1 missing key, first '0.bias'")


def test_a_wrong_shape_is_refused_with_both_shapes(path: Path) -> None:
    state = small().state_dict() | {"0.weight": torch.zeros(4, 3, 3, 3)}
    assert refusal(saved(path, state)) == (
        "weights 'FILE' is for another model: '0.weight' has shape (4, 3, 3, 3), "
        "expected (4, 3, 1, 1)"
    )


def test_a_wrong_type_or_no_tensor_at_all_is_refused(path: Path) -> None:
    whole = small().state_dict() | {"0.bias": torch.zeros(4, dtype=torch.int64)}
    assert "'0.bias' is of type torch.int64, expected torch.float32" in refusal(saved(path, whole))
    text = small().state_dict() | {"0.bias": "none"}
    assert "'0.bias' is a str, expected a tensor" in refusal(saved(path, text))


def test_tensors_without_plain_values_are_refused(path: Path) -> None:
    for odd in (torch.empty(4, device="meta"), torch.zeros(4).to_sparse()):
        whole = small().state_dict() | {"0.bias": odd}
        assert "'0.bias' is sparse or has no values" in refusal(saved(path, whole))


def test_a_refused_checkpoint_leaves_the_model_as_it_was(path: Path) -> None:
    module = small()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = {name: tensor + 1 for name, tensor in before.items()} | {"9.weight": torch.zeros(1)}
    with pytest.raises(UsageError):
        load_weights(module, saved(path, state))
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_a_file_that_vanished_is_refused(path: Path) -> None:
    assert refusal(path) == "weights 'FILE' cannot be read: No such file or directory"


def test_a_safetensors_file_loads(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor + 1 for name, tensor in small().state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    module = small()
    load_weights(module, tmp_path / "model.safetensors")
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 64])
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert refusal(path) == (
        "weights 'FILE' is truncated, damaged or not a safetensors file; download or save it again"
    )


def test_keys_are_translated_and_ignored_as_told(path: Path) -> None:
    state = {f"old.{name}": tensor + 1 for name, tensor in small().state_dict().items()}
    saved(path, state | {"head.weight": torch.ones(1)})
    module = small()
    load_weights(
        module, path, lambda key: key.removeprefix("old.") if key.startswith("old.") else None
    )
    assert torch.equal(module.state_dict()["0.bias"], state["old.0.bias"])


def test_a_weight_with_two_names_may_be_in_the_file_under_one(path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    state = {key: value + 1 for key, value in module.state_dict().items() if key != "1.weight"}
    load_weights(module, saved(path, state))
    assert torch.equal(module.state_dict()["1.weight"], state["0.weight"])
    del state["0.weight"]
    with pytest.raises(UsageError, match=r"2 missing keys, first '0\.weight'"):
        load_weights(module, saved(path, state))


def test_a_published_vit_with_the_older_names_of_its_layers_loads(path: Path) -> None:
    model = build(ModelSpec(name="vit_b_16"))
    older = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): value
        for key, value in module_of(model).state_dict().items()
    }
    loaded = build(ModelSpec(name="vit_b_16", weights=str(saved(path, older)), seed=9))
    assert loaded.weights_hash == model.weights_hash


def test_a_checkpoint_of_another_family_takes_images_as_they_are(path: Path) -> None:
    state = module_of(build(ModelSpec(name="mobilenet_v3_large"))).state_dict()
    spec = ModelSpec(name="mobilenet_v3_large", weights=str(saved(path, state)))
    loaded = module_of(build(spec)).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
