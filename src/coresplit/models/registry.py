"""The models that coresplit knows, and which of them can be built here."""

from importlib.util import find_spec

import msgspec

from coresplit.units import unknown_name


class ModelFamily(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network that can be built in several input sizes.

    ``module`` is imported when the network is built and has ``create()`` and
    ``take_imagenet_images(module)``. ``smallest_input`` is the side of the smallest square image
    that its layers leave something of.
    """

    name: str
    title: str
    description: str
    module: str
    default_input: int
    smallest_input: int


_FAMILIES = (
    ModelFamily(
        name="inception",
        title="Inception",
        description="Inception v3: 24 million parameters, 3x299x299 images, 1000 classes",
        module="coresplit.models.inception",
        default_input=299,
        smallest_input=75,
    ),
)

MODELS: dict[str, ModelFamily] = {family.name: family for family in _FAMILIES}


def model_named(name: str) -> ModelFamily:
    """The family of that name; raises ``UsageError`` that names the closest one."""
    if name in MODELS:
        return MODELS[name]
    raise unknown_name("model", name, MODELS)


def usable(name: str) -> str | None:
    """None where the model can be built here, else what is missing and how to install it.

    Looks for the packages without importing them. Raises ``UsageError`` for an unknown name.
    """
    model_named(name)
    missing = [package for package in ("torch", "numpy") if find_spec(package) is None]
    if not missing:
        return None
    return f"{name} needs {' and '.join(missing)}: pip install 'coresplit[torch]'"
