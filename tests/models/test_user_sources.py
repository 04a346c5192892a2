import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from own_models import Net, refused, save_program, save_script

from coresplit.errors import UsageError
from coresplit.models import (
    MODELS,
    ModelSpec,
    describe,
    form_of,
    packages_of,
    parse_input,
    usable,
    validate,
)
from coresplit.models.sources import source_of


def refusal(name: str, **fields: object) -> str:
    with pytest.raises(UsageError) as caught:
        validate(ModelSpec(name=name, **fields))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "short", "title"),
    [
        ("inception", "builtin", "inception", "Inception"),
        ("./model.onnx", "onnx", "model", "model.onnx"),
        ("a/b c.ONNX", "onnx", "b-c", "b c.ONNX"),
        ("/x/net.v2.pt2", "program", "net.v2", "net.v2.pt2"),
        ("scripted.pt", "archive", "scripted", "scripted.pt"),
        ("scripted.pth", "archive", "scripted", "scripted.pth"),
        ("net:make", "python", "net-make", "net:make"),
        ("mypkg.net:Net.make", "python", "net-Net.make", "mypkg.net:Net.make"),
        ("hf:prajjwal1/bert-tiny", "hf", "bert-tiny", "prajjwal1/bert-tiny"),
        ("hf:gpt2", "hf", "gpt2", "gpt2"),
        ("hf:./some/dir/", "hf", "dir", "dir"),
        ("torchvision:resnet101", "torchvision", "resnet101", "resnet101"),
        ("timm:vit_tiny.augreg", "timm", "vit_tiny.augreg", "vit_tiny.augreg"),
        ("é.onnx", "onnx", "model", "é.onnx"),
    ],
)
def test_a_name_means_a_kind_and_has_a_short_name_and_a_title(
    name: str, kind: str, short: str, title: str
) -> None:
    assert source_of(name).kind == kind
    assert describe(name) == (short, title)
    assert form_of(name) == ("onnx" if kind == "onnx" else "module")


def test_short_names_suit_file_names_whatever_the_length() -> None:
    short, _ = describe(f"{'x' * 300}.onnx")
    assert len(short) == 60


def test_the_folder_that_is_meant_by_a_dot_gives_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bert").mkdir()
    monkeypatch.chdir(tmp_path / "bert")
    assert describe("hf:.") == ("bert", "bert")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("incepton", "did you mean 'inception'?"),
        ("zzz", "unknown model 'zzz'; known are inception, "),
        ("./zzz", "was not found; a model file ends in .onnx, .pt2 or .pt"),
        ("hf:", "'hf:' does not name a model; write for example hf:bert-base-uncased"),
        ("tf:resnet", "no module 'tf' found"),
        ("tf:res net", "is not package.module:attribute and has none of the prefixes hf:,"),
        ("w.safetensors", "name the model that they are for and give weights=w.safetensors"),
        ("./nothing.onnx", "'./nothing.onnx' does not exist; check the path"),
        ("hf:./nothing", "'hf:./nothing': that folder does not exist; check the path"),
        ("hf:a/b/c", "that folder does not exist"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_what_to_do(name: str, reason: str) -> None:
    assert reason in refusal(name)


@pytest.mark.parametrize("ending", ["onnx", "pt2", "pt", "pth"])
def test_a_folder_an_empty_file_and_a_pointer_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"net.{ending}"
    path.mkdir()
    assert refusal(str(path)) == f"'{path}' is a folder; name the model file in it"
    path.rmdir()
    path.touch()
    assert refusal(str(path)) == f"'{path}' is empty; download or save the model file again"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    assert "is a pointer of git LFS, not the file itself; run: git lfs pull" in refusal(str(path))
    path.write_text("\n<!DOCTYPE html><html></html>")
    assert "is a web page or XML, not the model" in refusal(str(path))


def test_a_folder_without_an_ending_is_refused_with_what_it_may_be(tmp_path: Path) -> None:
    assert f"or hf:{tmp_path} for one saved by transformers" in refusal(str(tmp_path))
    assert "there is no config.json in that folder" in refusal(f"hf:{tmp_path}")


def test_a_file_of_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(b"123")
    assert refusal(str(path)).startswith(f"'{path}' has an unknown file type; a model file ends in")


def test_a_file_under_the_ending_of_another_is_refused_by_what_it_is(tmp_path: Path) -> None:
    program = save_program(Net(), tmp_path / "a.pt2", torch.rand(2, 3, 8, 8))
    script = save_script(Net(), tmp_path / "b.pt")
    pickle = tmp_path / "c.pt"
    torch.save(Net().state_dict(), pickle)
    for path, ending, reason in (
        (program, ".pt", "is a program saved by torch.export.save; name it .pt2"),
        (program, ".onnx", "is a zip archive, not an ONNX model"),
        (script, ".pt2", "is a TorchScript archive, not a program saved by torch.export.save"),
        (pickle, ".pt2", "is a pickle, not a program"),
        (pickle, ".pt", "is a pickle, not TorchScript"),
    ):
        other = tmp_path / f"other{ending}"
        other.write_bytes(path.read_bytes())
        assert reason in refusal(str(other))


@pytest.mark.parametrize("ending", ["pt2", "pt"])
@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 and no more", None])
def test_a_damaged_archive_is_refused(tmp_path: Path, ending: str, content: bytes | None) -> None:
    path = tmp_path / f"net.{ending}"
    if content is None:
        save_script(Net(), path)
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_bytes(content)
    assert "is truncated, damaged or not a PyTorch file" in refusal(str(path))


def test_a_compiled_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with ZipFile(path, "w") as archive:
        archive.writestr("net/data/aotinductor/model/a.so", "x")
    assert "is compiled for one machine" in refusal(str(path))


def test_sizes_weights_and_inputs_that_do_not_go_with_a_kind_are_refused(tmp_path: Path) -> None:
    path = str(save_script(Net(), tmp_path / "net.pt"))
    assert "has no selectable size; give its shapes with input" in refusal(path, size=9, trust=True)
    assert "contains its weights already; leave out weights" in refusal(
        path, weights="w.pth", trust=True
    )
    assert "size 0 is too small for timm:resnet18" in refusal("timm:resnet18", size=0)
    assert "weights 'w.pth' does not exist" in refusal("timm:resnet18", weights="w.pth")
    assert "is built in and has fixed inputs; leave out input" in refusal(
        "inception", inputs=(parse_input("3x9x9"),)
    )
    assert "seed -1 is out of range" in refusal(path, seed=-1)


def test_what_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> object:
        return None if name in missing else object()

    missing = {"onnxruntime", "transformers", "torchvision", "timm"}
    monkeypatch.setattr("coresplit.models.sources.find_spec", find_spec)
    for name, wanted in (
        ("a.onnx", "a.onnx needs onnxruntime: pip install 'coresplit[onnxruntime]'"),
        ("hf:gpt2", "hf:gpt2 needs transformers: pip install 'coresplit[transformers]'"),
        ("torchvision:a", "torchvision:a needs torchvision: pip install torchvision"),
        ("timm:a", "timm:a needs timm: pip install timm"),
        ("a.pt", None),
        ("a:b", None),
    ):
        assert usable(name) == wanted
    missing = {"torch", "timm"}
    assert usable("a.pt2") == "a.pt2 needs torch: pip install 'coresplit[torch]'"
    assert usable("timm:a") == "timm:a needs torch and timm: pip install 'coresplit[torch]' timm"


def test_packages_are_those_that_a_result_depends_on() -> None:
    assert packages_of("a.onnx") == ("torch", "numpy", "onnx", "onnxruntime")
    assert packages_of("a.pt") == ("torch", "numpy")
    assert packages_of("hf:a") == ("torch", "numpy", "transformers")
    assert all(packages_of(name) == family.packages for name, family in MODELS.items())


def test_a_library_that_is_not_installed_is_refused_when_building() -> None:
    assert refused("torchvision:resnet18") == (
        "torchvision:resnet18 needs torchvision: pip install torchvision"
    )


def test_validating_a_users_model_imports_neither_torch_nor_onnx(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07")
    code = (
        "import sys; from coresplit.models import *;"
        "names = ['net.onnx', 'hf:gpt2', 'timm:resnet18', 'json:dumps'];"
        "[(validate(ModelSpec(name=name)), usable(name), describe(name)) for name in names];"
        "heavy = ('torch', 'numpy', 'onnx', 'onnxruntime', 'transformers');"
        "print([name for name in heavy if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
