"""The requested model, as sent from the command line to the process that builds it."""

from pathlib import Path

import msgspec

from coresplit.errors import UsageError
from coresplit.models.catalog import ModelFamily, model_named
from coresplit.models.fake import parse_fake
from coresplit.models.files import check_source, read_head
from coresplit.models.sources import Source, source_of
from coresplit.records import ModelInput

_LARGEST_SEED = 2**63 - 1
_SIZED = ("hf", "torchvision", "timm")


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that determines the model: the same spec builds the same weights.

    ``name`` is a built-in model or the source of a user's model. ``size`` is the side of square
    images in pixels or the length of a text in tokens; None is the family's default. ``inputs``
    describe the inputs of a user's model. ``weights`` is the path of a checkpoint, or None for
    random weights from ``seed``. With ``imagenet_images`` a network from a checkpoint takes images
    normalized with ImageNet's mean and deviation, like the published weights (torchvision's
    ``transform_input``); without, images in [-1, 1]. ``trust`` allows files that can run code:
    all but ONNX.
    """

    name: str
    size: int | None = None
    inputs: tuple[ModelInput, ...] = ()
    weights: str | None = None
    seed: int = 0
    imagenet_images: bool = True
    trust: bool = False


def validate(spec: ModelSpec) -> None:
    """Raise ``UsageError`` for a wrong name, size or path, as far as known without torch."""
    source = source_of(spec.name)
    if not 0 <= spec.seed <= _LARGEST_SEED:
        raise UsageError(f"seed {spec.seed} is out of range; use 0 to {_LARGEST_SEED}")
    if source.kind == "builtin":
        _validate_builtin(spec, model_named(spec.name))
    elif source.kind == "fake":
        _validate_fake(spec)
    else:
        _validate_own(spec, source)
    if spec.weights is not None:
        read_head(Path(spec.weights), f"weights '{spec.weights}'", "checkpoint file")


def _validate_builtin(spec: ModelSpec, family: ModelFamily) -> None:
    if spec.inputs:
        raise UsageError(
            f"{spec.name} is built in and has fixed inputs", "leave out {option}", "input"
        )
    if spec.size is not None:
        _validate_size(spec.size, family)
    if spec.weights is not None:
        _validate_published_size(spec.size, family)


def _validate_fake(spec: ModelSpec) -> None:
    parse_fake(spec.name)
    given = {"input": spec.inputs, "input_size": spec.size, "weights": spec.weights}
    for option, value in given.items():
        if value:
            raise UsageError(
                "a fake model is a formula and has no inputs", "leave out {option}", option
            )


def _validate_own(spec: ModelSpec, source: Source) -> None:
    check_source(source, trust=spec.trust)
    if spec.size is not None and source.kind not in _SIZED:
        raise UsageError(
            f"{spec.name} has no selectable size", "give its shapes with {option}", "input"
        )
    if spec.size is not None and spec.size < 1:
        raise UsageError(f"size {spec.size} is too small for {spec.name}; use 1 or more")
    if spec.weights is not None and source.is_file:
        raise UsageError(
            f"{spec.name} contains its weights already", "leave out {option}", "weights"
        )


def _validate_size(size: int, family: ModelFamily) -> None:
    span = f"{family.smallest_size} or more"
    if family.largest_size is not None:
        span = f"{family.smallest_size} to {family.largest_size}"
    default = f"(default {family.default_size})"
    if size < family.smallest_size or size > (family.largest_size or size):
        fault = "small" if size < family.smallest_size else "large"
        raise UsageError(
            f"size {size} is too {fault} for {family.title}; use {span} {family.unit} {default}"
        )
    if size % family.step:
        below = size // family.step * family.step
        raise UsageError(
            f"size {size} does not fit {family.title}, which cuts images into patches of "
            f"{family.step} pixels; use {max(below, family.smallest_size)} or "
            f"{below + family.step} {default}"
        )


def _validate_published_size(size: int | None, family: ModelFamily) -> None:
    if family.weights_size is not None and size not in (None, family.weights_size):
        raise UsageError(
            f"size {size} does not fit a checkpoint of {family.title}: its position embedding "
            f"is for {family.weights_size} pixels; leave out the size or the weights"
        )
