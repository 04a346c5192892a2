import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from coresplit.errors import EnvironmentFault, UsageError
from coresplit.models import MODELS, ModelSpec, build, model_named, usable, validate


def refusal(**fields: object) -> str:
    spec = msgspec.convert({"name": "inception"} | fields, ModelSpec)
    with pytest.raises(UsageError) as caught:
        validate(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_importing_and_validating_a_model_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from coresplit.models import *;"
        "validate(ModelSpec(name='inception')); usable('inception');"
        "print([name for name in ('torch', 'numpy', 'torchvision') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_registry_names_inception_once() -> None:
    assert MODELS["inception"] is model_named("inception")
    assert MODELS["inception"].title == "Inception"
    assert (MODELS["inception"].default_size, MODELS["inception"].smallest_size) == (299, 75)
    assert all(name == family.name for name, family in MODELS.items())
    assert not any("\n" in family.description for family in MODELS.values())


def test_an_unknown_model_is_refused_with_the_closest_name() -> None:
    assert refusal(name="incepton") == ("unknown model 'incepton'; did you mean 'inception'?")


def test_a_name_like_no_other_points_to_the_list() -> None:
    assert refusal(name="zzz").startswith("unknown model 'zzz'; known are inception, ")


def test_the_defaults_and_the_smallest_input_are_valid() -> None:
    for size in (299, 224, 75):
        validate(ModelSpec(name="inception", size=size))


@pytest.mark.parametrize("size", [74, 0, -1])
def test_an_input_that_the_network_cannot_take_is_refused_with_the_reason(size: int) -> None:
    assert refusal(size=size) == (
        f"size {size} is too small for Inception; use 75 or more pixels (default 299)"
    )


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("resnet50", 31, "too small for ResNet-50; use 32 or more pixels (default 224)"),
        ("bert", 0, "too small for BERT base; use 1 to 512 tokens (default 128)"),
        ("bert", 513, "too large for BERT base; use 1 to 512 tokens (default 128)"),
        ("gpt2", 1025, "too large for GPT-2; use 1 to 1024 tokens (default 128)"),
    ],
)
def test_a_size_out_of_range_is_refused_in_its_unit(name: str, size: int, said: str) -> None:
    assert refusal(name=name, size=size) == f"size {size} is {said}"


def test_vit_takes_whole_patches_and_a_checkpoint_only_its_own_size(tmp_path: Path) -> None:
    assert refusal(name="vit_b_16", size=230) == (
        "size 230 does not fit ViT-B/16, which cuts images into patches of 16 pixels; "
        "use 224 or 240 (default 224)"
    )
    path = tmp_path / "vit.pth"
    path.write_bytes(b"weights")
    assert refusal(name="vit_b_16", size=240, weights=str(path)) == (
        "size 240 does not fit a checkpoint of ViT-B/16: its position embedding is for "
        "224 pixels; leave out the size or the weights"
    )
    for size in (None, 224):
        validate(ModelSpec(name="vit_b_16", size=size, weights=str(path)))


def test_the_largest_sizes_are_valid() -> None:
    for name, size in (("bert", 512), ("gpt2", 1024), ("resnet50", 4096), ("vit_b_16", 32)):
        validate(ModelSpec(name=name, size=size))


def test_every_family_states_inputs_of_its_size() -> None:
    for family in MODELS.values():
        shapes = [each.shape for each in family.inputs_of(family.default_size)]
        side = family.default_size
        assert shapes and all(shape in ((3, side, side), (side,)) for shape in shapes)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    assert refusal(seed=seed) == f"seed {seed} is out of range; use 0 to {2**63 - 1}"


def test_weights_that_are_missing_empty_or_a_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    for name, reason in (
        ("missing.pth", "does not exist; check the path"),
        (".", "is a folder; name the checkpoint file in it"),
        ("empty.pth", "is empty; download or save the checkpoint file again"),
    ):
        path = tmp_path / name
        assert refusal(weights=str(path)) == f"weights '{path}' {reason}"


def test_a_pipe_is_refused_without_waiting_on_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refusal(weights=str(path)).endswith("is not a regular file; name a checkpoint file")


def test_an_unknown_field_of_a_spec_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="inputs_size"):
        msgspec.convert({"name": "inception", "inputs_size": 75}, ModelSpec)


def test_without_torch_the_way_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coresplit.models.sources.find_spec", lambda name: None)
    assert usable("inception") == (
        "inception needs torch and numpy: pip install 'coresplit[torch]'"
    )
    with pytest.raises(EnvironmentFault, match="needs torch and numpy"):
        build(ModelSpec(name="inception"))


def test_a_language_model_names_its_own_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "coresplit.models.sources.find_spec",
        lambda name: None if name == "transformers" else found(name),
    )
    assert usable("bert") == "bert needs transformers: pip install 'coresplit[transformers]'"
    assert usable("resnet50") is None
    monkeypatch.setattr("coresplit.models.sources.find_spec", lambda name: None)
    assert usable("gpt2") == (
        "gpt2 needs torch, numpy and transformers: pip install 'coresplit[transformers]'"
    )


def test_with_torch_the_model_is_usable() -> None:
    assert importlib.util.find_spec("torch") is not None
    assert usable("inception") is None
