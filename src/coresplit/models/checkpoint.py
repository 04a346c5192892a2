"""Load a checkpoint into a network; refuses files that hold anything but weights."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coresplit.errors import EnvironmentFault, UsageError

_SAFE = ".safetensors"
_COUNTER = "num_batches_tracked"
_WRAPPER = "module."
_PICKLES = (b"\x80", b"PK")


def load_weights(
    module: nn.Module, path: Path, named: Callable[[str], str | None] | None = None
) -> None:
    """Copy the weights in ``path`` into ``module``; raises ``UsageError``.

    The file is a state dict saved by ``torch.save``, or a dict with one under ``state_dict``, or
    has the suffix ``.safetensors``. The prefix ``module.`` of data-parallel training is removed.
    ``named`` maps a key of the file to its name in ``module``, or to None to ignore it. Two kinds
    of keys may be missing: second names of weights that the module has under two names, and batch
    counters, which old files lack and inference never reads. Raises ``EnvironmentFault`` if the
    library for the file is missing.
    """
    content = _read_safe(path) if path.suffix == _SAFE else _read(path)
    state = _state_in(content, path)
    if named is not None:
        state = {new: value for old, value in state.items() if (new := named(old)) is not None}
    wanted = module.state_dict()
    _compare_names(state, wanted, path)
    for name, tensor in state.items():
        _compare_tensor(name, tensor, wanted[name], path)
    module.load_state_dict(state, strict=False)


def _read_safe(path: Path) -> object:
    try:
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415
    except ImportError as error:
        raise EnvironmentFault(
            f"weights '{path}' need safetensors: pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except OSError as error:
        raise UsageError(f"weights '{path}' cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UsageError(
            f"weights '{path}' is truncated, damaged or not a safetensors file; "
            "download or save it again"
        ) from error


def _read(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            for start in ("Detected pickle protocol", "'torch.load' received a zip file"):
                warnings.filterwarnings("ignore", message=start, category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _starts_with(path, _PICKLES):
            raise UsageError(f"weights '{path}' is not a PyTorch checkpoint") from error
        raise UsageError(
            f"weights '{path}' holds code, objects or a pickle protocol above 2, which coresplit "
            "does not read; save only the weights: torch.save(model.state_dict(), path)"
        ) from error
    except OSError as error:
        raise UsageError(f"weights '{path}' cannot be read: {error.strerror}") from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise UsageError(
                f"weights '{path}' is a TorchScript archive; "
                "save only the weights: torch.save(model.state_dict(), path)"
            ) from error
        raise UsageError(
            f"weights '{path}' is truncated, damaged or not a PyTorch checkpoint; "
            "download or save it again"
        ) from error


def _starts_with(path: Path, heads: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(2).startswith(heads)


def _state_in(content: object, path: Path) -> dict[str, Any]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UsageError(
            f"weights '{path}' holds a {type(content).__name__} instead of a state dict; "
            "save one with torch.save(model.state_dict(), path)"
        )
    return {str(name).removeprefix(_WRAPPER): value for name, value in content.items()}


def _compare_names(state: dict[str, Any], wanted: dict[str, Tensor], path: Path) -> None:
    there = {wanted[name].data_ptr() for name in state if name in wanted}
    missing = [
        name
        for name, tensor in wanted.items()
        if not (name in state or name.endswith(_COUNTER) or tensor.data_ptr() in there)
    ]
    unexpected = [name for name in state if name not in wanted]
    doubts = [
        f"{len(names)} {kind} {'key' if len(names) == 1 else 'keys'}, first '{names[0]}'"
        for kind, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if doubts:
        raise UsageError(f"weights '{path}' is for another model: {'; '.join(doubts)}")


def _compare_tensor(name: str, found: object, wanted: Tensor, path: Path) -> None:
    if not isinstance(found, Tensor):
        raise UsageError(
            f"weights '{path}': '{name}' is a {type(found).__name__}, expected a tensor"
        )
    if found.layout != torch.strided or found.is_meta:
        raise UsageError(
            f"weights '{path}': '{name}' is sparse or has no values; save plain tensors"
        )
    if found.shape != wanted.shape:
        raise UsageError(
            f"weights '{path}' is for another model: '{name}' has shape {tuple(found.shape)}, "
            f"expected {tuple(wanted.shape)}"
        )
    if found.is_floating_point() != wanted.is_floating_point():
        raise UsageError(
            f"weights '{path}': '{name}' is of type {found.dtype}, expected {wanted.dtype}"
        )
