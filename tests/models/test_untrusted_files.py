"""No model file that is opened without ``trust`` runs code."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock
from zipfile import ZipFile

import pytest
import torch
from own_models import BATCH, Net, built, exporting, refused, save_program
from torch import Tensor, nn

from coresplit.errors import UsageError
from coresplit.models import ModelSpec, validate


class Touches:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.marker,))


class Saves(nn.Module):
    """As TorchScript, it writes a file when it runs."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = str(marker)

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.marker)
        return x


def changed(path: Path, ending: str, change: Callable[[bytes], bytes]) -> Path:
    """The archive with one of its members changed."""
    with ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(content) if name.endswith(ending) else content)
    return path


def pickled_in(folder: Path, marker: Path) -> Path:
    other = folder / "pickle.bin"
    torch.save(Touches(marker), other)
    return changed(program(folder), "sample_inputs/model.pt", lambda _: other.read_bytes())


def evaluated_in(folder: Path, marker: Path) -> Path:
    text = json.dumps(f"__import__('pathlib').Path({str(marker)!r}).touch()")[1:-1]

    def change(content: bytes) -> bytes:
        return re.sub(
            r'("expr_str": ?)"[^"]*"', lambda found: f'{found[1]}"{text}"', content.decode()
        ).encode()

    return changed(program(folder), "models/model.json", change)


def program(folder: Path) -> Path:
    return save_program(Net(), folder / "net.pt2", torch.rand(2, 3, 8, 8), shapes=({0: BATCH},))


def script(folder: Path, marker: Path) -> Path:
    with exporting():
        torch.jit.save(torch.jit.script(Saves(marker).eval()), folder / "net.pt")
    return folder / "net.pt"


def pickle(folder: Path, marker: Path) -> Path:
    torch.save(Touches(marker), folder / "net.pt")
    return folder / "net.pt"


def legacy_pickle(folder: Path, marker: Path) -> Path:
    torch.save(Touches(marker), folder / "net.pth", _use_new_zipfile_serialization=False)
    return folder / "net.pth"


@pytest.mark.parametrize("make", [pickled_in, evaluated_in, script, pickle, legacy_pickle])
def test_a_file_that_can_run_code_runs_none_without_trust(
    tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    marker = tmp_path / "marker"
    path = make(tmp_path, marker)
    assert "trust=True" in refused(path, "x=3x8x8", trust=False)
    assert not marker.exists()
    with suppress(UsageError):
        built(path, "x=3x8x8")
    assert marker.exists()


def test_an_honest_program_needs_trust_too(tmp_path: Path) -> None:
    path = program(tmp_path)
    assert "is a program of torch.export, and loading it can run code" in refused(path, trust=False)
    assert built(path, trust=True).parameters > 0


def test_weights_that_hold_code_run_none_even_with_trust(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = program(tmp_path)
    for weights in (pickle(tmp_path, marker), legacy_pickle(tmp_path, marker)):
        with pytest.raises(UsageError):
            validate(ModelSpec(name=str(path), weights=str(weights), trust=True))
        assert "holds code" in refused("resnet50", weights=str(weights))
    assert not marker.exists()


def test_a_folder_of_transformers_whose_configuration_names_code_is_refused(
    tmp_path: Path,
) -> None:
    pytest.importorskip("transformers")
    marker = tmp_path / "marker"
    names = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": names}))
    (tmp_path / "mine.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    message = refused(f"hf:{tmp_path}")
    assert "needs code from its repository, which coresplit does not run" in message
    assert not marker.exists()


@pytest.mark.parametrize(
    "named",
    [
        {"attn_implementation": "somebody/kernels"},
        {"_attn_implementation": "somebody/kernels@main:flash"},
        {"experts_implementation": "somebody/kernels"},
    ],
)
def test_a_configuration_that_names_kernels_of_a_repository_fetches_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    pytest.importorskip("transformers")
    made = Mock()
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", made)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9}
    config = {"model_type": "bert", "intermediate_size": 8, **sizes, **named}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "needs code from its repository, which coresplit does not run" in refused(
        f"hf:{tmp_path}"
    )
    assert not made.called


def test_pickled_weights_of_transformers_that_hold_code_run_none(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    marker = tmp_path / "marker"
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9}
    config = {"model_type": "bert", "intermediate_size": 8, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({"a": Touches(marker)}, tmp_path / "pytorch_model.bin")
    assert "cannot be loaded by transformers" in refused(f"hf:{tmp_path}")
    assert not marker.exists()


@pytest.mark.parametrize("ending", ["pt", "pt2"])
def test_an_archive_that_zip_readers_stumble_over_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"net.{ending}"
    with ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", "x")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + b"\x80" + whole[at + 1 :])
        with pytest.raises(UsageError):
            validate(ModelSpec(name=str(path)))
