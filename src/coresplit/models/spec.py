"""Which model is wanted, as it travels from the command line to the process that builds it."""

from pathlib import Path

import msgspec

from coresplit.errors import UsageError
from coresplit.models.registry import model_named

_LARGEST_SEED = 2**63 - 1


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that determines the model: the same spec builds the same weights.

    ``input_size`` is the side of the square images in pixels. ``weights`` is the path of a
    checkpoint, or None for random weights from ``seed``. With ``imagenet_images`` a network from
    a checkpoint takes images normalized with ImageNet's mean and deviation, as the published
    weights do (torchvision calls it ``transform_input``); without, images in [-1, 1].
    """

    name: str
    input_size: int = 299
    weights: str | None = None
    seed: int = 0
    imagenet_images: bool = True


def validate(spec: ModelSpec) -> None:
    """Refuse with ``UsageError`` what can be refused without torch: name, sizes and the path."""
    family = model_named(spec.name)
    if spec.input_size < family.smallest_input:
        raise UsageError(
            f"input size {spec.input_size} is too small for {family.title}: its strides leave "
            f"nothing of an image below {family.smallest_input} pixels; "
            f"use {family.smallest_input} or more (default {family.default_input})"
        )
    if not 0 <= spec.seed <= _LARGEST_SEED:
        raise UsageError(f"seed {spec.seed} is out of range; use 0 to {_LARGEST_SEED}")
    if spec.weights is not None:
        _validate_weights(Path(spec.weights))


def _validate_weights(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"weights '{path}' is a directory; name the checkpoint file in it")
    if not path.exists():
        raise UsageError(f"weights '{path}' does not exist; check the path")
    if not path.is_file():
        raise UsageError(f"weights '{path}' is not a regular file; name a checkpoint file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UsageError(f"weights '{path}' cannot be read: {error.strerror}") from error
    if empty:
        raise UsageError(f"weights '{path}' is empty; fetch or save the checkpoint again")
