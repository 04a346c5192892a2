"""Build the model that a spec asks for. torch is imported here on the first build, not before."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from coresplit.errors import EnvironmentFault
from coresplit.models.registry import model_named, usable
from coresplit.models.spec import ModelSpec, validate
from coresplit.models.tensors import weights_hash

if TYPE_CHECKING:
    from torch import Tensor, nn


class BuiltModel(msgspec.Struct, frozen=True, kw_only=True):
    """A network in eval mode. ``input_shape`` is without the batch.

    ``weights_hash`` names the weights: of random ones as they were drawn, before the steps whose
    last bits depend on the number of threads; of a checkpoint as they are in the file.
    """

    module: "nn.Module"
    input_shape: tuple[int, int, int]
    parameters: int
    weights_hash: str

    def make_inputs(self, batch: int, seed: int) -> "Tensor":
        """Structured random images, float32, of shape [batch, *input_shape]."""
        from coresplit.models.inputs import structured_images  # noqa: PLC0415

        return structured_images(batch, self.input_shape[-1], seed)


def build(spec: ModelSpec) -> BuiltModel:
    """Make the network and its weights; about half a second on one thread without a checkpoint.

    Raises ``UsageError`` for a spec or checkpoint that cannot be used and ``EnvironmentFault``
    where torch is not installed.
    """
    validate(spec)
    if (reason := usable(spec.name)) is not None:
        raise EnvironmentFault(reason)
    from coresplit.models import checkpoint, initial  # noqa: PLC0415

    family = import_module(model_named(spec.name).module)
    with initial.WithoutFirstValues():
        module: nn.Module = family.create().eval()
    if spec.weights is None:
        initial.fill(module, spec.seed)
        identity = weights_hash(module)
        initial.calibrate(module, spec.input_size, spec.seed)
    else:
        checkpoint.load_weights(module, Path(spec.weights))
        identity = weights_hash(module)
        if spec.imagenet_images:
            family.take_imagenet_images(module)
    return BuiltModel(
        module=module,
        input_shape=(3, spec.input_size, spec.input_size),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights_hash=identity,
    )
