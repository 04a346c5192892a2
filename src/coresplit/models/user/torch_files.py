"""Load a module from a file or from Python code."""

import importlib
import inspect
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from coresplit.errors import UsageError
from coresplit.format import first_line
from coresplit.models.files import is_script
from coresplit.models.input_spec import UNNAMED
from coresplit.models.sources import Source
from coresplit.models.spec import ModelSpec
from coresplit.models.user.declared_inputs import Stated, named
from coresplit.records import ModelInput

_CODE = "write its forward for any first dimension"
_EXPORT = "export it again with a dynamic batch (dynamic_shapes of torch.export.export)"
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A module in eval mode, and the inputs that it declares, None if it declares none.

    The last of its inputs are passed by ``keywords``. ``remedy`` says how to fix a model whose
    outputs do not follow the batch.
    """

    module: nn.Module
    stated: tuple[Stated, ...] | None = None
    keywords: tuple[str, ...] = ()
    remedy: str = _CODE


def load_program(spec: ModelSpec, source: Source) -> Loaded:
    """A program saved by ``torch.export.save``; loading it can run any code."""
    try:
        program = torch.export.load(source.path)
        module = program.module()
    except Exception as error:
        raise UsageError(
            f"'{spec.name}' cannot be loaded by torch.export.load: {first_line(error)}; "
            "save it with this version of PyTorch"
        ) from error
    examples = program.example_inputs
    keywords = tuple(examples[1]) if examples is not None else ()
    return Loaded(
        module=module,
        stated=_stated_by(spec.name, program, examples),
        keywords=keywords,
        remedy=_EXPORT,
    )


def load_archive(spec: ModelSpec, source: Source) -> Loaded:
    """A TorchScript archive, whose code runs, or a pickle, which can run any code."""
    script = is_script(source.path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=r"`torch\.jit\.\w+` is deprecated", category=DeprecationWarning
            )
            if script:
                module = torch.jit.load(  # type: ignore[no-untyped-call]
                    source.path, map_location="cpu"
                )
            else:
                _search_here()
                module = torch.load(source.path, map_location="cpu", weights_only=False)
    except Exception as error:
        what = "is damaged or of another version of PyTorch" if script else "cannot be unpickled"
        raise UsageError(f"'{spec.name}' {what}: {first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"'{spec.name}' contains a {type(module).__name__}, not a module",
            "if these are weights, name the model that they are for and give {option}",
            f"weights={spec.name}",
        )
    return Loaded(module=module.eval())


def load_python(spec: ModelSpec, source: Source) -> Loaded:
    """``package.module:attribute``: a module, or a callable without arguments that returns one.

    The current folder is searched first, like ``python -m`` does. Runs the code that it imports.
    """
    path, _, attribute = source.rest.partition(":")
    _search_here()
    try:
        found: Any = importlib.import_module(path)
    except Exception as error:
        raise UsageError(f"'{spec.name}': importing {path} failed: {first_line(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"'{spec.name}': '{part}' is not in {path}; check the name")
        found = getattr(found, part)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise UsageError(
                f"'{spec.name}': calling {attribute}() failed: {first_line(error)}; "
                "name a function that takes no arguments and returns a module"
            ) from error
    if not isinstance(found, nn.Module):
        raise UsageError(
            f"'{spec.name}' is a {type(found).__name__}; "
            "name a torch.nn.Module or a function that returns one"
        )
    return Loaded(module=found.cpu().eval())


def by_signature(
    model: str, module: nn.Module, given: Sequence[ModelInput]
) -> tuple[tuple[ModelInput, ...], tuple[str, ...]]:
    """The inputs of a module that declares none, in the order of forward, and those by keyword.

    Raises ``UsageError`` for an input that forward does not take or that is missing.
    """
    parameters = _parameters(module)
    names = [each.name for each in parameters if each.kind not in _VARIADIC]
    takes = f"({', '.join(map(str, parameters))})"
    missing = f"{model} does not declare its inputs: its forward takes {takes}"
    if not given:
        example = names[0] if names else UNNAMED
        raise UsageError(
            missing, "give each, without the batch: {option}", f"input={example}=3x224x224:float32"
        )
    if len(names) < len(parameters) and not {each.name for each in given} <= set(names):
        return tuple(given), ()
    by_name = named(model, names, given, takes)
    for each in parameters:
        required = each.default is inspect.Parameter.empty and each.kind not in _VARIADIC
        if required and each.name not in by_name:
            raise UsageError(
                missing,
                f"give '{each.name}' as well: {{option}}",
                f"input={each.name}=3x224x224:float32",
            )
    chosen = tuple(name for name in names if name in by_name)
    prefix = next(
        (
            index
            for index, (name, each) in enumerate(zip(chosen, parameters, strict=False))
            if name != each.name or each.kind == inspect.Parameter.KEYWORD_ONLY
        ),
        len(chosen),
    )
    return tuple(by_name[name] for name in chosen), chosen[prefix:]


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    """The parameters of forward, without annotations, which are too long for a message."""
    forward: Any = module.forward
    if isinstance(module, torch.jit.ScriptModule):
        return [
            inspect.Parameter(
                each.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=each.default_value if each.has_default_value() else inspect.Parameter.empty,
            )
            for each in forward.schema.arguments[1:]
        ]
    found = inspect.signature(forward).parameters.values()
    return [each.replace(annotation=inspect.Parameter.empty) for each in found]


def _stated_by(model: str, program: Any, examples: Any) -> tuple[Stated, ...]:  # noqa: ANN401
    """The inputs of an exported program, from the placeholders of its graph."""
    wanted = program.graph_signature.user_inputs
    flat = [*examples[0], *examples[1].values()] if examples is not None else [None] * len(wanted)
    places = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    if len(flat) != len(wanted) or not all(
        isinstance(places[name].meta.get("val") if name in places else None, torch.Tensor)
        for name in wanted
    ):
        raise UsageError(
            f"{model} takes arguments that are nested or no tensors; "
            "export a module that takes tensors"
        )
    return tuple(
        _stated(model, name, places[name].meta["val"], example)
        for name, example in zip(wanted, flat, strict=True)
    )


def _stated(model: str, name: str, value: torch.Tensor, example: torch.Tensor | None) -> Stated:
    if value.ndim == 0 or not isinstance(value.shape[0], torch.SymInt):
        size = "missing" if value.ndim == 0 else f"fixed at {value.shape[0]}"
        raise UsageError(f"{model}: the batch of input '{name}' is {size}; {_EXPORT}")
    low = high = None
    whole = not (value.dtype.is_floating_point or value.dtype.is_complex)
    if whole and example is not None and example.numel() and value.dtype != torch.bool:
        low, high = int(example.min()), int(example.max())
    return Stated(
        name=name,
        shape=tuple(
            str(size) if isinstance(size, torch.SymInt) else int(size) for size in value.shape[1:]
        ),
        dtype=str(value.dtype).removeprefix("torch."),
        low=low,
        high=high,
    )


def _search_here() -> None:
    """Search the current folder for modules first from now on, because code may import late."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
