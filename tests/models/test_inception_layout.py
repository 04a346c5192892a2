import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from coresplit.models.initialization import fill
from coresplit.models.inputs import structured_images
from coresplit.models.zoo.inception import Inception3, InceptionAux, create, take_imagenet_images

PUBLISHED = Path(__file__).with_name("inception_keys.txt")


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a published checkpoint, in its order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for line in PUBLISHED.read_text().splitlines()[1:]:
        name, inputs, outputs, kernel = line.split()
        height, width = (int(side) for side in kernel.split("x"))
        channels = (int(outputs),)
        shapes[f"{name}.conv.weight"] = (int(outputs), int(inputs), height, width)
        for statistic in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{statistic}"] = channels
        shapes[f"{name}.bn.num_batches_tracked"] = ()
        if name == "AuxLogits.conv1":
            shapes |= {"AuxLogits.fc.weight": (1000, 768), "AuxLogits.fc.bias": (1000,)}
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_with_the_auxiliary_head_keys_shapes_and_order_are_the_published_ones() -> None:
    published = published_shapes()
    assert len(published) == 580
    assert {"Mixed_5b.branch1x1.conv.weight", "AuxLogits.conv0.conv.weight"} <= published.keys()
    assert list(shapes_of(Inception3(auxiliary=True)).items()) == list(published.items())


def test_without_the_auxiliary_head_only_its_keys_are_gone() -> None:
    left = {k: v for k, v in published_shapes().items() if not k.startswith("AuxLogits.")}
    assert shapes_of(create(299)) == left


@pytest.mark.parametrize(("auxiliary", "count"), [(True, 27_161_264), (False, 23_834_568)])
def test_the_parameters_are_counted_as_published(auxiliary: bool, count: int) -> None:
    module = Inception3(auxiliary=auxiliary)
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_every_batch_norm_has_the_epsilon_the_published_weights_were_trained_with() -> None:
    norms = [m for m in Inception3(auxiliary=True).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 96
    assert {norm.eps for norm in norms} == {0.001}


@pytest.mark.parametrize(
    ("size", "stem", "middle", "last"),
    [
        (299, (35, 35), (17, 17), (8, 8)),
        (224, (25, 25), (12, 12), (5, 5)),
        (75, (7, 7), (3, 3), (1, 1)),
    ],
)
def test_the_grids_shrink_as_in_the_papers_table(
    size: int, stem: tuple[int, int], middle: tuple[int, int], last: tuple[int, int]
) -> None:
    module = create(299).eval()
    grids: dict[str, tuple[int, ...]] = {}
    for name, layer in module.named_children():
        layer.register_forward_hook(
            lambda _layer, _inputs, output, name=name: grids.update({name: tuple(output.shape[1:])})
        )
    with torch.inference_mode():
        logits = module(structured_images(1, size, seed=0))
    assert tuple(logits.shape) == (1, 1000)
    assert grids["maxpool2"] == (192, *stem)
    assert grids["Mixed_5d"] == (288, *stem)
    assert grids["Mixed_6e"] == (768, *middle)
    assert grids["Mixed_7a"] == (1280, *last)
    assert grids["Mixed_7c"] == (2048, *last)


def test_an_image_below_the_smallest_size_does_not_pass() -> None:
    with (
        torch.inference_mode(),
        pytest.raises(RuntimeError, match="greater than actual input size"),
    ):
        create(299).eval()(torch.ones(1, 3, 74, 74))


def test_the_auxiliary_head_classifies_its_grid() -> None:
    with torch.inference_mode():
        assert InceptionAux(768).eval()(torch.ones(2, 768, 17, 17)).shape == (2, 1000)


def test_the_network_scripts_and_says_the_same() -> None:
    module = create(299).eval()
    images = structured_images(2, 75, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(module)
    with torch.inference_mode():
        torch.testing.assert_close(scripted(images), module(images))


def test_images_normalized_as_imagenets_give_what_plain_ones_gave() -> None:
    module = create(299).eval()
    fill(module, seed=0)
    images = structured_images(2, 75, seed=0)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    plain = (images * deviation + mean - 0.5) / 0.5
    with torch.inference_mode():
        first = module.Conv2d_1a_3x3
        assert isinstance(first, nn.Module)
        expected = first(plain)
        before = first(images)
        take_imagenet_images(module)
        torch.testing.assert_close(first(images), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, expected, rtol=1e-2)
