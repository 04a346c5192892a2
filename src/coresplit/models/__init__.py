"""The models: what is known about them without torch, and how to build them."""

from coresplit.models.build import build
from coresplit.models.built import BuiltModel
from coresplit.models.catalog import MODELS, ModelFamily, model_named
from coresplit.models.fake import FakeModel, is_fake, parse_fake
from coresplit.models.input_spec import parse_input
from coresplit.models.sources import describe, form_of, packages_of, usable
from coresplit.models.spec import ModelSpec, validate
from coresplit.models.tensors import Survey, survey, tensors_hash, weights_hash
from coresplit.models.user.onnx_survey import survey_onnx

__all__ = [
    "MODELS",
    "BuiltModel",
    "FakeModel",
    "ModelFamily",
    "ModelSpec",
    "Survey",
    "build",
    "describe",
    "form_of",
    "is_fake",
    "model_named",
    "packages_of",
    "parse_fake",
    "parse_input",
    "survey",
    "survey_onnx",
    "tensors_hash",
    "usable",
    "validate",
    "weights_hash",
]
