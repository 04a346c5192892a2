"""What random weights must do in every family but the first, which has tests of its own."""

import math
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from coresplit.models import MODELS, BuiltModel, ModelSpec, build
from coresplit.models.initialization import WithoutFirstValues, fill

HASHES = {
    "bert": "c7841f23e3a2ce63",
    "gpt2": "4657e222a4a13599",
    "mobilenet_v3_large": "ae10b62600b5d243",
    "resnet50": "5f63d0eae8852877",
    "vit_b_16": "b2f6cbc5c2d0ed38",
}
IMAGES = ["mobilenet_v3_large", "resnet50", "vit_b_16"]
# how many products an output of these layers sums
TERMS = {
    "layer4.2.conv2.weight": 512 * 9,
    "features.15.block.1.0.weight": 25,
    "classifier.0.weight": 960,
    "conv_proj.weight": 3 * 16 * 16,
    "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": 768,
    "encoder.layers.encoder_layer_0.mlp.3.weight": 3072,
    "encoder.pos_embedding": 768,
    "network.embeddings.word_embeddings.weight": 768,
    "network.encoder.layer.3.output.dense.weight": 3072,
    "network.transformer.wpe.weight": 768,
    "network.transformer.h.5.attn.c_attn.weight": 768,
    "network.transformer.h.5.mlp.c_fc.weight": 768,
    "network.transformer.h.5.mlp.c_proj.weight": 3072,
}
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


@cache
def built(name: str, size: int | None = None) -> BuiltModel:
    return build(ModelSpec(name=name, size=size))


def outputs(model: BuiltModel, batch: int) -> Tensor:
    """The first output of each input [batch, ...]; of a text, that of its last token."""
    assert model.module is not None
    inputs = model.make_inputs(batch, seed=1)
    parts = []
    with torch.inference_mode():
        for start in range(0, batch, 8):
            found = model.module(*(each[start : start + 8] for each in inputs))
            first = found[0] if isinstance(found, tuple) else found
            parts.append(first[:, -1].clone() if first.ndim == 3 else first)
    return torch.cat(parts)


def spread(found: Tensor) -> float:
    varying = (found - found.mean(dim=0)).square().mean()
    return float((varying / found.square().mean()).sqrt())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [*((name, None) for name in IMAGES), ("gpt2", 32)])
def test_classes_and_next_tokens_depend_on_the_input(name: str, size: int | None) -> None:
    found = outputs(built(name, size), 32)
    assert len(set(found.argmax(dim=1).tolist())) >= 8
    assert spread(found) > 0.3


@pytest.mark.parametrize("name", IMAGES)
def test_classes_of_small_images_depend_on_the_input(name: str) -> None:
    found = outputs(built(name, 64), 32)
    assert len(set(found.argmax(dim=1).tolist())) >= 8
    assert spread(found) > 0.3


def test_the_hidden_states_of_bert_depend_on_the_input() -> None:
    found = outputs(built("bert", 32), 16)
    assert spread(found) > 0.1


@pytest.mark.parametrize(("name", "size"), [*((name, 64) for name in IMAGES), ("bert", 16)])
def test_no_weight_and_no_activation_is_subnormal(name: str, size: int) -> None:
    model = built(name, size)
    assert model.module is not None
    found: dict[str, int] = {}

    def count(key: str, tensor: object) -> None:
        if isinstance(tensor, Tensor) and tensor.is_floating_point():
            amount = tensor.detach().abs()
            found[key] = int(((amount > 0) & (amount < SMALLEST_NORMAL)).sum())

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        count(f"{id(layer)} {type(layer).__name__}", output)

    hooks = [layer.register_forward_hook(note) for layer in model.module.modules()]
    outputs(model, 2)
    for hook in hooks:
        hook.remove()
    for key, tensor in model.module.state_dict().items():
        count(f"weights of {key}", tensor)
    assert len(found) > 200
    assert {key: number for key, number in found.items() if number} == {}


@pytest.mark.parametrize("name", sorted(HASHES))
def test_the_hash_of_a_family_does_not_change_between_versions(name: str) -> None:
    assert built(name).weights_hash == HASHES[name]


@pytest.mark.slow
def test_another_process_on_two_threads_builds_the_same_weights() -> None:
    names = ["gpt2", "mobilenet_v3_large", "vit_b_16"]
    code = (
        "import torch; torch.set_num_threads(2);"
        "from coresplit.models import ModelSpec, build;"
        f"print(*(build(ModelSpec(name=name)).weights_hash for name in {names}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [HASHES[name] for name in names]


@pytest.mark.parametrize("name", sorted(HASHES))
def test_building_a_family_draws_nothing_from_torchs_own_generator(name: str) -> None:
    before = torch.get_rng_state()
    build(ModelSpec(name=name, size=32))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", sorted(HASHES))
def test_filling_draws_every_matrix_and_leaves_norms_at_one_and_biases_at_zero(name: str) -> None:
    with WithoutFirstValues():
        module: nn.Module = import_module(MODELS[name].module).create(32)
    for parameter in module.parameters():
        parameter.data.fill_(torch.nan if parameter.ndim > 1 else 1)
    fill(module, seed=0)
    for key, parameter in module.named_parameters():
        values = parameter.detach()
        if values.ndim > 1:
            terms = 2 / float(values.var())
            assert abs(float(values.mean())) < 5 * math.sqrt(2 / terms / values.numel()), key
            assert terms == pytest.approx(TERMS.get(key, terms), rel=0.1), key
        else:
            assert set(values.tolist()) == {0.0 if key.endswith("bias") else 1.0}, key
