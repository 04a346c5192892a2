"""The kind of model that a name means, and what is known about it without loading it."""

import re
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Literal

import msgspec

from coresplit.errors import UsageError
from coresplit.format import listed
from coresplit.models.catalog import MODELS, model_named
from coresplit.models.fake import PREFIX, is_fake
from coresplit.records import Form

Kind = Literal[
    "builtin", "fake", "onnx", "program", "archive", "python", "hf", "torchvision", "timm"
]

_KINDS: dict[str, Kind] = {
    ".onnx": "onnx",
    ".pt2": "program",
    ".pt": "archive",
    ".pth": "archive",
}
_HUBS: tuple[Kind, ...] = ("hf", "torchvision", "timm")
_FILES: tuple[Kind, ...] = ("onnx", "program", "archive")
_WEIGHTS = (".safetensors", ".bin", ".ckpt")
_ENDINGS = ".onnx, .pt2 or .pt"
_PYTHON = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60
_TORCH = ("torch", "numpy")
_PACKAGES: dict[Kind, tuple[str, ...]] = {
    "fake": (),
    "onnx": (*_TORCH, "onnx", "onnxruntime"),
    "hf": (*_TORCH, "transformers"),
    "torchvision": (*_TORCH, "torchvision"),
    "timm": (*_TORCH, "timm"),
}
_INSTALL: dict[Kind, str] = {
    "onnx": "'coresplit[onnxruntime]'",
    "hf": "'coresplit[transformers]'",
    "torchvision": "torchvision",
    "timm": "timm",
}


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a model comes from.

    ``name`` is what the user gave, ``rest`` is the same without the prefix of a hub.
    """

    kind: Kind
    name: str
    rest: str

    @property
    def path(self) -> Path:
        """The path of a model file."""
        return Path(self.rest)

    @property
    def is_file(self) -> bool:
        """True if the model is a file, possibly with external weights."""
        return self.kind in _FILES


def source_of(name: str) -> Source:
    """The source that ``name`` means; raises ``UsageError`` if there is none.

    Built-in names come first, then the prefixes hf:, torchvision: and timm:, then file suffixes,
    then ``package.module:attribute``.
    """
    if name in MODELS:
        return Source(kind="builtin", name=name, rest=name)
    if is_fake(name):
        return Source(kind="fake", name=name, rest=name.removeprefix(PREFIX).removeprefix(":"))
    for hub in _HUBS:
        if name.startswith(f"{hub}:"):
            rest = name.removeprefix(f"{hub}:")
            if not rest.strip():
                raise UsageError(
                    f"'{name}' does not name a model; write for example {_example(hub)}"
                )
            return Source(kind=hub, name=name, rest=rest)
    suffix = Path(name).suffix.lower()
    if suffix in _KINDS:
        return Source(kind=_KINDS[suffix], name=name, rest=name)
    if _PYTHON.fullmatch(name):
        return Source(kind="python", name=name, rest=name)
    raise _refusal(name, suffix)


def form_of(name: str) -> Form:
    """The form of the model: a PyTorch module or an ONNX file."""
    return "onnx" if source_of(name).kind == "onnx" else "module"


def needs_trust(name: str) -> bool:
    """True if the model is or contains code, which may only be loaded if the user trusts it."""
    return source_of(name).kind in ("program", "archive", "python")


def describe(name: str) -> tuple[str, str]:
    """A short name for use in file names, and a title: ``("model", "model.onnx")``."""
    source = source_of(name)
    if source.kind == "builtin":
        return name, model_named(name).title
    if source.kind == "fake":
        return PREFIX, "fake model"
    if source.is_file:
        short, title = source.path.stem, source.path.name
    elif source.kind == "python":
        module, _, attribute = name.partition(":")
        short, title = f"{module.rpartition('.')[2]}-{attribute}", name
    elif source.kind == "hf":
        folder = Path(source.rest)
        short = folder.name if folder.name not in ("", "..") else folder.resolve().name
        title = short if _is_folder(source.rest) else source.rest
    else:
        short = title = source.rest
    safe = _UNSAFE.sub("-", short)[:_LONGEST].strip("-.")
    return safe or "model", title


def packages_of(name: str) -> tuple[str, ...]:
    """The distributions that the model or its reference outputs depend on."""
    source = source_of(name)
    if source.kind == "builtin":
        return model_named(name).packages
    return _PACKAGES.get(source.kind, _TORCH)


def usable(name: str) -> str | None:
    """Which packages the model lacks and how to install them; None if it can be built.

    Looks for the packages without importing them. Raises ``UsageError`` for an unknown name.
    """
    source = source_of(name)
    missing = [package for package in packages_of(name) if find_spec(package) is None]
    if not missing:
        return None
    wanted = _INSTALL.get(source.kind, "'coresplit[torch]'")
    if source.kind == "builtin":
        wanted = f"'coresplit[{model_named(name).extra}]'"
    if source.kind in ("torchvision", "timm") and set(missing) & set(_TORCH):
        wanted = f"'coresplit[torch]' {wanted}"
    return f"{name} needs {listed(missing)}: pip install {wanted}"


def _is_folder(rest: str) -> bool:
    return rest.startswith((".", "/", "~")) or Path(rest).is_dir()


def _example(hub: Kind) -> str:
    named = {"hf": "bert-base-uncased", "torchvision": "resnet101", "timm": "resnet18"}
    return f"{hub}:{named[hub]}"


def _refusal(name: str, suffix: str) -> UsageError:
    path = Path(name)
    if suffix in _WEIGHTS:
        return UsageError(
            f"'{name}' holds weights but no network",
            "name the model that they are for and give {option}",
            f"weights={name}",
        )
    if path.is_dir():
        return UsageError(
            f"'{name}' is a folder; name the {_ENDINGS} file in it, "
            f"or {quote(f'hf:{name}')} for one saved by transformers"
        )
    if path.is_file() or "/" in name:
        what = "has an unknown file type" if path.is_file() else "was not found"
        return UsageError(f"'{name}' {what}; a model file ends in {_ENDINGS}")
    if ":" in name:
        return UsageError(
            f"'{name}' is not package.module:attribute and has none of the prefixes "
            f"{', '.join(f'{hub}:' for hub in _HUBS)}"
        )
    try:
        model_named(name)
    except UsageError as error:
        return error
    raise AssertionError(name)
