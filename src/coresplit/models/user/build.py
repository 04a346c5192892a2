"""Build a user's model: load it, determine its inputs, and try it before measuring."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from coresplit.errors import UsageError
from coresplit.format import first_line
from coresplit.models import checkpoint, initialization
from coresplit.models.built import BuiltModel, Keep
from coresplit.models.files import file_hash
from coresplit.models.inputs import generate
from coresplit.models.sources import Source, source_of
from coresplit.models.spec import ModelSpec
from coresplit.models.tensors import weights_hash
from coresplit.models.user.declared_inputs import settle
from coresplit.models.user.flatten import flat
from coresplit.models.user.torch_files import Loaded, by_signature
from coresplit.models.user.trial_runs import BATCH, check_runs, shapes_of

_UNTRAINED = ("torchvision", "timm")
_LOADERS = {
    "program": "coresplit.models.user.torch_files:load_program",
    "archive": "coresplit.models.user.torch_files:load_archive",
    "python": "coresplit.models.user.torch_files:load_python",
    "hf": "coresplit.models.user.huggingface:load",
    "torchvision": "coresplit.models.user.torchvision_timm:load_torchvision",
    "timm": "coresplit.models.user.torchvision_timm:load_timm",
}


def build_user_model(spec: ModelSpec, keep: Keep) -> BuiltModel:
    """Load the model that ``spec`` names, in eval mode; ``spec`` must be valid.

    Random weights are drawn from ``spec.seed``. Raises ``UsageError`` for a model that cannot be
    loaded or measured, ``EnvironmentFault`` if a library is broken or the hub is unreachable.
    Loading a TorchScript archive, a pickle or a Python module runs its code.
    """
    source = source_of(spec.name)
    if source.kind == "onnx":
        from coresplit.models.user.onnx_file import build_onnx  # noqa: PLC0415

        return build_onnx(spec.name, source.path, spec.inputs, spec.seed, keep)
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        loaded = _loader(source)(spec, source)
    if spec.weights is not None:
        checkpoint.load_weights(loaded.module, Path(spec.weights))
    elif source.kind in _UNTRAINED:
        # with their own initial values, some give the same outputs for all inputs
        initialization.fill(loaded.module, spec.seed)
    title = spec.name
    if loaded.stated is None:
        inputs, keywords = by_signature(title, loaded.module, spec.inputs)
    else:
        inputs, keywords = settle(title, loaded.stated, spec.inputs), loaded.keywords
    if spec.weights is None and source.kind in _UNTRAINED and inputs[0].shape[0] == 3:
        initialization.calibrate(loaded.module, min(inputs[0].shape[1:]), spec.seed)
    example = generate(inputs, BATCH, spec.seed)
    module = _positional(title, loaded.module, keywords, example)
    check_runs(title, lambda tensors: _run(module, tensors), example, loaded.remedy)
    parameters = {id(each): each for each in loaded.module.parameters()}.values()
    return BuiltModel(
        module=module,
        inputs=inputs,
        parameters=sum(parameter.numel() for parameter in parameters),
        weights_hash=_identity(source, loaded.module),
    )


def _loader(source: Source) -> Callable[[ModelSpec, Source], Loaded]:
    module, _, function = _LOADERS[source.kind].partition(":")
    loader: Callable[[ModelSpec, Source], Loaded] = getattr(import_module(module), function)
    return loader


def _positional(
    title: str, module: nn.Module, keywords: tuple[str, ...], example: tuple[Tensor, ...]
) -> nn.Module:
    """The module with positional inputs, tried on a batch of one, or of three if that fails."""
    try:
        return flat(title, module, keywords, tuple(each[:1] for each in example))
    except UsageError:
        raise
    except Exception:
        try:
            return flat(title, module, keywords, example)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"{title} cannot run on inputs of shape {shapes_of(example)}: {first_line(error)}",
                "describe its inputs with {option}",
                "input",
            ) from error


def _run(module: nn.Module, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        outputs = module(*tensors)
    return tuple(outputs) if isinstance(outputs, tuple) else (outputs,)


def _identity(source: Source, module: nn.Module) -> str:
    """The hash of the file if there is one: a state dict may lack weights of TorchScript."""
    if source.is_file:
        return file_hash(source.path)
    return weights_hash(module)
