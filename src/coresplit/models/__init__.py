"""The models: what is known of each without torch, and how one is built with it."""

from coresplit.models.build import BuiltModel, build
from coresplit.models.registry import MODELS, ModelFamily, model_named, usable
from coresplit.models.spec import ModelSpec, validate
from coresplit.models.tensors import largest_tensor, weights_hash

__all__ = [
    "MODELS",
    "BuiltModel",
    "ModelFamily",
    "ModelSpec",
    "build",
    "largest_tensor",
    "model_named",
    "usable",
    "validate",
    "weights_hash",
]
