"""Architectures of torchvision and timm, with random weights: nothing is downloaded."""

import difflib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from torch import nn

from coresplit.errors import EnvironmentFault, UsageError
from coresplit.format import first_line
from coresplit.models.sources import Source
from coresplit.models.spec import ModelSpec
from coresplit.models.user.declared_inputs import Stated
from coresplit.models.user.torch_files import Loaded

_SIDE = 224
_IMAGE = ("channels", "height", "width")


def load_torchvision(spec: ModelSpec, source: Source) -> Loaded:
    """``torchvision.models.get_model(NAME, weights=None)`` on 3x224x224 images.

    Raises ``EnvironmentFault`` if torchvision does not fit PyTorch.
    """
    models = _imported("torchvision.models")
    module = _made(
        spec.name, lambda: models.get_model(source.rest, weights=None), models.list_models
    )
    return _images(module, (3, _SIDE, _SIDE), spec.size)


def load_timm(spec: ModelSpec, source: Source) -> Loaded:
    """``timm.create_model(NAME, pretrained=False)`` on images of the size it is published for."""
    timm = _imported("timm")
    module = _made(
        spec.name, lambda: timm.create_model(source.rest, pretrained=False), timm.list_models
    )
    published: Any = module.pretrained_cfg
    return _images(module, tuple(published["input_size"]), spec.size)


def _images(module: Any, shape: tuple[int, ...], size: int | None) -> Loaded:  # noqa: ANN401
    wanted = shape if size is None else (shape[0], size, size)
    return Loaded(module=module.eval(), stated=(Stated(name="x", shape=_IMAGE, default=wanted),))


def _imported(name: str) -> Any:  # noqa: ANN401 (neither library has types)
    """Import a package or module; raises ``EnvironmentFault`` if it is broken."""
    try:
        return import_module(name)
    except Exception as error:
        package = name.partition(".")[0]
        raise EnvironmentFault(
            f"{package} cannot be imported: {first_line(error)}; "
            f"install the version of {package} that was built for this PyTorch"
        ) from error


def _made(name: str, make: Callable[[], Any], known: Callable[[], Sequence[str]]) -> nn.Module:
    try:
        module = make()
    except Exception as error:
        names = list(known())
        hub, _, wanted = name.partition(":")
        if wanted in names:
            raise UsageError(f"'{name}' cannot be created: {first_line(error)}") from error
        close = difflib.get_close_matches(wanted, names, n=1)
        guess = f"; did you mean '{hub}:{close[0]}'?" if close else ""
        raise UsageError(f"{hub} has no model '{wanted}'{guess}") from error
    assert isinstance(module, nn.Module)
    return module
