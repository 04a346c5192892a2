"""Build a built-in model: its network from this package, its weights random or from a file."""

from importlib import import_module
from pathlib import Path

from torch import nn

from coresplit.models import checkpoint, initialization
from coresplit.models.built import BuiltModel
from coresplit.models.catalog import model_named
from coresplit.models.spec import ModelSpec
from coresplit.models.tensors import weights_hash


def build_builtin(spec: ModelSpec) -> BuiltModel:
    """Build the network and its weights; ``spec`` must be valid and its packages installed.

    Raises ``UsageError`` for a checkpoint that cannot be used.
    """
    known = model_named(spec.name)
    size = spec.size or known.default_size
    inputs = known.inputs_of(size)
    family = import_module(known.module)
    with initialization.WithoutFirstValues():
        module: nn.Module = family.create(size).eval()
    if spec.weights is None:
        initialization.fill(module, spec.seed)
        identity = weights_hash(module)
        initialization.calibrate(module, size, spec.seed)
    else:
        # if the module wraps a network of transformers, checkpoints are for that network
        network = getattr(module, "network", module)
        named = getattr(family, "published_name", None)
        checkpoint.load_weights(network, Path(spec.weights), named)
        identity = weights_hash(module)
        if spec.imagenet_images and hasattr(family, "take_imagenet_images"):
            family.take_imagenet_images(module)
    return BuiltModel(
        module=module,
        inputs=inputs,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights_hash=identity,
    )
