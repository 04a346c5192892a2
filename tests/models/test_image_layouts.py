import warnings
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from coresplit.models import MODELS, BuiltModel, ModelSpec, build, survey
from coresplit.models.inputs import structured_images

COUNTS = {"resnet50": 25_557_032, "mobilenet_v3_large": 5_483_032, "vit_b_16": 86_567_656}
PUBLISHED_MACS = {"resnet50": 4.09e9, "mobilenet_v3_large": 0.22e9, "vit_b_16": 17.56e9}
NAMES = sorted(COUNTS)
SMALL = 64


@cache
def built(name: str, size: int | None = None) -> BuiltModel:
    return build(ModelSpec(name=name, size=size))


def module_of(name: str, size: int | None = None) -> nn.Module:
    module = built(name, size).module
    assert module is not None
    return module


def published(name: str) -> dict[str, tuple[int, ...]]:
    lines = Path(__file__).with_name(f"{name}_keys.txt").read_text().splitlines()[1:]
    pairs = (line.split() for line in lines)
    return {
        key: () if shape == "scalar" else tuple(int(side) for side in shape.split("x"))
        for key, shape in pairs
    }


@pytest.mark.parametrize("name", NAMES)
def test_keys_shapes_and_order_are_those_of_the_published_checkpoint(name: str) -> None:
    found = {key: tuple(each.shape) for key, each in module_of(name).state_dict().items()}
    assert list(found.items()) == list(published(name).items())


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_image_networks_are_counted_as_published(name: str) -> None:
    assert built(name).parameters == COUNTS[name]
    assert built(name).inputs[0].shape == (3, 224, 224)


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_twice_the_published_multiply_adds(name: str) -> None:
    found = survey(module_of(name), built(name).make_inputs(1, seed=0))
    assert found.flops == pytest.approx(2 * PUBLISHED_MACS[name], rel=0.02)


def test_resnet_halves_the_grid_in_the_3x3_convolution() -> None:
    strides = {
        name: layer.stride
        for name, layer in module_of("resnet50").named_modules()
        if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1)
    }
    parts = [f"layer{stage}.0.{part}" for stage in (2, 3, 4) for part in ("conv2", "downsample.0")]
    assert strides == dict.fromkeys(["conv1", *parts], (2, 2))


def test_mobilenet_has_the_activations_and_statistics_of_its_paper() -> None:
    layers = list(module_of("mobilenet_v3_large").modules())
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.01)}
    assert len(norms) == 46
    # nine blocks with hard swish twice, the first and last convolution, and the classifier
    assert sum(isinstance(layer, nn.Hardswish) for layer in layers) == 9 * 2 + 3
    assert sum(isinstance(layer, nn.Hardsigmoid) for layer in layers) == 8


def test_vit_attends_as_pytorchs_own_attention_does() -> None:
    attention = module_of("vit_b_16", 32).get_submodule(
        "encoder.layers.encoder_layer_3.self_attention"
    )
    reference = nn.MultiheadAttention(768, 12, batch_first=True).eval()
    reference.load_state_dict(attention.state_dict())
    tokens = torch.randn(2, 9, 768, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, _ = reference(tokens, tokens, tokens, need_weights=False)
        torch.testing.assert_close(attention(tokens), expected, rtol=1e-4, atol=1e-4)


def test_vit_norms_with_the_epsilon_of_its_checkpoint_and_uses_the_exact_gelu() -> None:
    layers = list(module_of("vit_b_16", 32).modules())
    assert {layer.eps for layer in layers if isinstance(layer, nn.LayerNorm)} == {1e-6}
    assert {layer.approximate for layer in layers if isinstance(layer, nn.GELU)} == {"none"}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_network_scripts_and_says_the_same(name: str) -> None:
    module = module_of(name, SMALL)
    images = structured_images(2, SMALL, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(module)
    with torch.inference_mode():
        torch.testing.assert_close(scripted(images), module(images))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_network_exports_with_a_dynamic_batch(name: str) -> None:
    module = module_of(name, SMALL)
    with torch.no_grad():
        exported = torch.export.export(
            module,
            (structured_images(2, SMALL, seed=0),),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )
    images = structured_images(5, SMALL, seed=1)
    with torch.inference_mode():
        torch.testing.assert_close(exported.module()(images), module(images))


@pytest.mark.parametrize("name", ["inception", *NAMES])
def test_every_image_network_takes_its_smallest_size(name: str) -> None:
    smallest = MODELS[name].smallest_size
    network: nn.Module = import_module(MODELS[name].module).create(smallest).eval()
    with torch.inference_mode():
        assert network(structured_images(2, smallest, seed=0)).shape == (2, 1000)
