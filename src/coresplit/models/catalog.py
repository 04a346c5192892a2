"""The built-in models."""

from typing import Literal

import msgspec

from coresplit.records import ModelInput
from coresplit.units import unknown_name


class ModelFamily(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network that can be built in several input sizes.

    A size is the side of square images in ``pixels``, or the length of a text in ``tokens``.
    ``largest_size`` is None if there is no limit; every size is a multiple of ``step``.
    ``weights_size`` is the only size that published checkpoints fit, None if they fit all.
    ``packages`` must be importable and come with ``extra``. ``texts`` are the inputs of a
    network that reads tokens, without their shape.

    ``module`` is imported when the network is built and has ``create(size)``. It may have
    ``published_name(key)``, which translates the keys of published checkpoints, and
    ``take_imagenet_images(module)`` if these expect images of another scale.
    """

    name: str
    title: str
    description: str
    module: str
    unit: Literal["pixels", "tokens"] = "pixels"
    default_size: int = 224
    smallest_size: int = 32
    largest_size: int | None = None
    step: int = 1
    weights_size: int | None = None
    packages: tuple[str, ...] = ("torch", "numpy")
    extra: str = "torch"
    texts: tuple[ModelInput, ...] = ()

    def inputs_of(self, size: int) -> tuple[ModelInput, ...]:
        """The inputs of the network, in their order, for that size."""
        if self.unit == "pixels":
            return (ModelInput(name="x", shape=(3, size, size)),)
        return tuple(msgspec.structs.replace(each, shape=(size,)) for each in self.texts)


def _tokens(name: str, low: int, high: int) -> ModelInput:
    return ModelInput(name=name, shape=(), dtype="int64", low=low, high=high)


_FAMILIES = (
    ModelFamily(
        name="inception",
        title="Inception",
        description="Inception v3: 24 million parameters, 3x299x299 images, 1000 classes",
        module="coresplit.models.zoo.inception",
        default_size=299,
        smallest_size=75,
    ),
    ModelFamily(
        name="resnet50",
        title="ResNet-50",
        description="ResNet-50 v1.5: 26 million parameters, 3x224x224 images, 1000 classes",
        module="coresplit.models.zoo.resnet",
    ),
    ModelFamily(
        name="mobilenet_v3_large",
        title="MobileNetV3-Large",
        description="MobileNetV3-Large: 5 million parameters, 3x224x224 images, 1000 classes",
        module="coresplit.models.zoo.mobilenet",
    ),
    ModelFamily(
        name="vit_b_16",
        title="ViT-B/16",
        description="ViT-B/16: 87 million parameters, 3x224x224 images, 1000 classes",
        module="coresplit.models.zoo.vit",
        step=16,
        weights_size=224,
    ),
    ModelFamily(
        name="bert",
        title="BERT base",
        description="BERT base with pooler: 109 million parameters, texts of 128 tokens",
        module="coresplit.models.zoo.bert",
        unit="tokens",
        default_size=128,
        smallest_size=1,
        largest_size=512,
        packages=("torch", "numpy", "transformers"),
        extra="transformers",
        texts=(_tokens("input_ids", 0, 30521), _tokens("attention_mask", 1, 1)),
    ),
    ModelFamily(
        name="gpt2",
        title="GPT-2",
        description="GPT-2: 124 million parameters, one forward over texts of 128 tokens",
        module="coresplit.models.zoo.gpt2",
        unit="tokens",
        default_size=128,
        smallest_size=1,
        largest_size=1024,
        packages=("torch", "numpy", "transformers"),
        extra="transformers",
        texts=(_tokens("input_ids", 0, 50256),),
    ),
)

MODELS: dict[str, ModelFamily] = {family.name: family for family in _FAMILIES}


def model_named(name: str) -> ModelFamily:
    """The family with this name; else raises ``UsageError`` that suggests the closest one."""
    if name in MODELS:
        return MODELS[name]
    raise unknown_name("model", name, MODELS)
