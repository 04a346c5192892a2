import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from own_models import BATCH, built, outputs, refused

from coresplit.models import survey

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAKE_TORCHVISION = """
import torch
from torch import nn
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 7, stride=4)
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(4, 10)
    def forward(self, x):
        return self.fc(self.dropout(self.conv(x).mean((2, 3))))
class Segments(Classifier):
    def forward(self, x):
        return {"out": self.conv(x), "aux": self.conv(x).mean(1)}
MODELS = {"resnet18": Classifier, "fcn": Segments}
def list_models():
    return list(MODELS)
def get_model(name, weights="DEFAULT"):
    assert weights is None
    try:
        return MODELS[name]()
    except KeyError:
        raise ValueError(f"Unknown model {name}")
"""
FAKE_TIMM = """
from torch import nn
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 7, stride=4)
        self.pretrained_cfg = {"input_size": (3, 160, 176)}
    def forward(self, x):
        return self.conv(x).mean((2, 3))
def list_models():
    return ["resnet18", "broken"]
def create_model(name, pretrained=True):
    assert pretrained is False
    if name == "broken":
        raise ValueError("needs a newer library")
    if name != "resnet18":
        raise RuntimeError(f"Unknown model ({name})")
    return Classifier()
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages that is searched first; what comes from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in list(sys.modules):
        if name.partition(".")[0] in ("torchvision", "timm"):
            del sys.modules[name]


@pytest.fixture
def torchvision(packages: Path) -> None:
    (packages / "torchvision").mkdir()
    (packages / "torchvision" / "__init__.py").touch()
    (packages / "torchvision" / "models.py").write_text(FAKE_TORCHVISION)


@pytest.fixture
def timm(packages: Path) -> None:
    (packages / "timm.py").write_text(FAKE_TIMM)


@pytest.mark.usefixtures("torchvision")
def test_an_architecture_of_torchvision_has_random_weights_from_the_seed() -> None:
    model = built("torchvision:resnet18", seed=1)
    assert model.inputs[0].shape == (3, 224, 224)
    assert outputs(model)[0].shape == (3, 10)
    again, other = (built("torchvision:resnet18", seed=seed) for seed in (1, 2))
    assert model.weights_hash == again.weights_hash != other.weights_hash


@pytest.mark.usefixtures("torchvision")
def test_a_size_or_an_input_changes_the_images_of_torchvision() -> None:
    assert built("torchvision:resnet18", size=64).inputs[0].shape == (3, 64, 64)
    assert built("torchvision:resnet18", "3x64x96").inputs[0].shape == (3, 64, 96)
    assert "cannot run on inputs of shape [3, 4, 64, 64] float32: RuntimeError" in refused(
        "torchvision:resnet18", "4x64x64"
    )


@pytest.mark.usefixtures("torchvision")
def test_a_dict_of_torchvision_becomes_a_tuple() -> None:
    first, second = outputs(built("torchvision:fcn", size=32))
    assert first.shape == (3, 4, 7, 7)
    assert second.shape == (3, 7, 7)


@pytest.mark.usefixtures("torchvision")
def test_weights_of_a_file_go_into_an_architecture(tmp_path: Path) -> None:
    module = built("torchvision:resnet18", seed=5).module
    assert module is not None
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    model = built("torchvision:resnet18", seed=6, weights=str(tmp_path / "weights.pth"))
    assert model.weights_hash == built("torchvision:resnet18", seed=5).weights_hash


@pytest.mark.usefixtures("torchvision", "timm")
def test_an_unknown_architecture_is_refused_with_the_closest() -> None:
    assert refused("torchvision:resnet81") == (
        "torchvision has no model 'resnet81'; did you mean 'torchvision:resnet18'?"
    )
    assert refused("timm:zzzz") == "timm has no model 'zzzz'"
    assert refused("timm:broken") == (
        "'timm:broken' cannot be created: ValueError: needs a newer library"
    )


@pytest.mark.usefixtures("timm")
def test_a_model_of_timm_takes_images_of_its_own_size() -> None:
    model = built("timm:resnet18")
    assert model.inputs[0].shape == (3, 160, 176)
    assert outputs(model)[0].shape == (3, 4)


def test_a_torchvision_that_does_not_fit_is_named_with_the_cause(packages: Path) -> None:
    (packages / "torchvision").mkdir()
    (packages / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    assert refused("torchvision:resnet18") == (
        "torchvision cannot be imported: RuntimeError: operator torchvision::nms does not exist; "
        "install the version of torchvision that was built for this PyTorch"
    )


def saved(folder: Path, config: object, model: Callable[..., "PreTrainedModel"]) -> str:
    model(config).save_pretrained(folder)
    return f"hf:{folder}"


@pytest.fixture
def bert(tmp_path: Path) -> str:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=99,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    return saved(tmp_path / "bert", config, BertModel)


def test_a_folder_of_transformers_states_texts(bert: str) -> None:
    model = built(bert)
    assert [str(each) for each in model.inputs] == [
        "input_ids=64:int64:0-98",
        "attention_mask=64:int64:1-1",
        "token_type_ids=64:int64:0-0",
    ]
    hidden, pooled = outputs(model)
    assert hidden.shape == (3, 64, 16)
    assert pooled.shape == (3, 16)
    assert survey(model.module, model.make_inputs(2, 0)).flops > 0  # type: ignore[arg-type]
    assert built(bert, seed=3).weights_hash == model.weights_hash


def test_the_length_of_texts_is_chosen_by_size_or_input(bert: str) -> None:
    assert [each.shape for each in built(bert, size=8).inputs] == [(8,)] * 3
    assert [each.shape for each in built(bert, "input_ids=16:int64").inputs] == [(16,)] * 3
    assert "length 65 is too long for hf:" in refused(bert, size=65)
    assert "has no input 'ids'; it takes input_ids=length:int64" in refused(bert, "ids=16:int64")


def test_a_transformer_can_be_exported_with_a_free_batch(bert: str) -> None:
    model = built(bert, size=8)
    assert model.module is not None
    example = model.make_inputs(2, 0)
    program = torch.export.export(
        model.module, example, dynamic_shapes=(tuple({0: BATCH} for _ in example),)
    )
    inputs = model.make_inputs(5, 1)
    with torch.inference_mode():
        assert torch.allclose(program.module()(*inputs)[0], model.module(*inputs)[0], atol=1e-5)


def test_gpt2_runs_one_forward_without_a_cache(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(vocab_size=99, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    model = built(saved(tmp_path, config, GPT2Model))
    assert [each.name for each in model.inputs] == ["input_ids", "attention_mask"]
    assert [each.shape for each in outputs(model)] == [(3, 32, 16)]


def test_t5_takes_a_text_for_its_decoder(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    config = T5Config(
        vocab_size=99,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
    )
    model = built(saved(tmp_path, config, T5Model), size=8)
    assert [each.name for each in model.inputs] == [
        "input_ids",
        "attention_mask",
        "decoder_input_ids",
    ]
    assert outputs(model)[0].shape == (3, 8, 16)


def test_a_vision_transformer_states_images(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
    )
    model = built(saved(tmp_path, config, ViTModel))
    assert [str(each) for each in model.inputs] == ["pixel_values=3x32x32:float32"]
    assert outputs(model)[0].shape == (3, 5, 16)


def test_a_model_that_needs_its_own_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "mine", "auto_map": {"AutoConfig": "code.Mine", "AutoModel": "code.Net"}}'
    )
    (tmp_path / "code.py").write_text("raise AssertionError('this was run')")
    assert refused(f"hf:{tmp_path}") == (
        f"'hf:{tmp_path}' needs code from its repository, which coresplit does not run"
    )


def test_a_folder_without_weights_is_refused_with_the_cause(bert: str) -> None:
    (Path(bert.removeprefix("hf:")) / "model.safetensors").unlink()
    assert f"'{bert}' cannot be loaded by transformers: OSError: " in refused(bert)


def test_without_the_hub_a_name_cannot_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert refused("hf:prajjwal1/bert-tiny") == (
        "'hf:prajjwal1/bert-tiny' cannot be fetched: the Hugging Face hub is unreachable and it "
        "is not in the local cache; connect, or name a folder: hf:./folder"
    )
