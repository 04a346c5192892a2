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
    assert (MODELS["inception"].default_input, MODELS["inception"].smallest_input) == (299, 75)
    assert all(name == family.name for name, family in MODELS.items())
    assert not any("\n" in family.description for family in MODELS.values())


def test_an_unknown_model_is_refused_with_the_closest_name() -> None:
    assert refusal(name="incepton") == (
        "unknown model 'incepton'; did you mean 'inception'? (coresplit list shows all)"
    )


def test_a_name_like_no_other_points_to_the_list() -> None:
    assert refusal(name="zzz") == "unknown model 'zzz'; coresplit list shows all"


def test_the_defaults_and_the_smallest_input_are_valid() -> None:
    for size in (299, 224, 75):
        validate(ModelSpec(name="inception", input_size=size))


@pytest.mark.parametrize("size", [74, 0, -1])
def test_an_input_that_the_network_cannot_take_is_refused_with_the_reason(size: int) -> None:
    assert refusal(input_size=size) == (
        f"input size {size} is too small for Inception: its strides leave nothing of an image "
        "below 75 pixels; use 75 or more (default 299)"
    )


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    assert refusal(seed=seed) == f"seed {seed} is out of range; use 0 to {2**63 - 1}"


def test_weights_that_are_missing_empty_or_a_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    for name, reason in (
        ("missing.pth", "does not exist; check the path"),
        (".", "is a directory; name the checkpoint file in it"),
        ("empty.pth", "is empty; fetch or save the checkpoint again"),
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
    monkeypatch.setattr("coresplit.models.registry.find_spec", lambda name: None)
    assert usable("inception") == (
        "inception needs torch and numpy: pip install 'coresplit[torch]'"
    )
    with pytest.raises(EnvironmentFault, match="needs torch and numpy"):
        build(ModelSpec(name="inception"))


def test_with_torch_the_model_is_usable() -> None:
    assert importlib.util.find_spec("torch") is not None
    assert usable("inception") is None
