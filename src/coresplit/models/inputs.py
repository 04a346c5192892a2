"""Seeded inputs for measuring a network and comparing its outputs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from coresplit.errors import UsageError
from coresplit.models.input_spec import DTYPES, limits, require_range
from coresplit.records import ModelInput

_SCENES = 8
_GRATINGS = 6
_FINEST = 24
_PATCHES = (3, 9, 27)
_CHANNELS = 3
_SEEDS = 2**64
_LARGEST_DRAWN = 2**63 - 2
_STRIDE = 0x9E3779B97F4A7C15
_DTYPES = {name: getattr(torch, name) for name in DTYPES}


def generate(inputs: Sequence[ModelInput], batch: int, seed: int) -> tuple[Tensor, ...]:
    """One tensor [batch, *shape] for every input; its first rows do not depend on ``batch``.

    Floats of shape [3, H, W] are structured images, other floats and complex numbers are normal
    with mean 0 and variance 1, and integers are uniform from ``low`` to ``high``, by default from 0
    to 1. Every input has its own seed; that of the first is ``seed``. Raises ``UsageError`` for a
    type that numpy and torch do not share and for a range outside of the type.
    """
    return tuple(
        _drawn(each, batch, (seed + index * _STRIDE) % _SEEDS) for index, each in enumerate(inputs)
    )


def _drawn(wanted: ModelInput, batch: int, seed: int) -> Tensor:
    dtype = _DTYPES.get(wanted.dtype)
    if dtype is None:
        raise UsageError(
            f"input '{wanted.name}': unknown type '{wanted.dtype}'; use one of {', '.join(_DTYPES)}"
        )
    if not (dtype.is_floating_point or dtype.is_complex):
        return _integers(wanted, dtype, batch, seed)
    if dtype.is_floating_point and len(wanted.shape) == 3 and wanted.shape[0] == _CHANNELS:
        return _images(batch, wanted.shape[1], wanted.shape[2], seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.complex64 if dtype.is_complex else torch.float32
    values = torch.empty(batch, *wanted.shape, dtype=dtype)
    # one draw per row, since with a single one the first row would depend on the batch
    for row in range(batch):
        values[row] = torch.randn(wanted.shape, generator=generator, dtype=drawn)
    return values


def _integers(wanted: ModelInput, dtype: torch.dtype, batch: int, seed: int) -> Tensor:
    low = 0 if wanted.low is None else wanted.low
    high = max(low, 1) if wanted.high is None else wanted.high
    least, most = limits(wanted.dtype)
    # randint takes the end of a range, which is one above ``high``, as a signed 64-bit integer
    require_range(wanted.name, low, high, wanted.dtype, (least, min(most, _LARGEST_DRAWN)))
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, (batch, *wanted.shape), generator=generator).to(dtype)


def structured_images(batch: int, size: int, seed: int) -> Tensor:
    """Square images [batch, 3, size, size], as ``generate`` makes them."""
    return _images(batch, size, size, seed)


def _images(batch: int, height: int, width: int, seed: int) -> Tensor:
    """Images [batch, 3, height, width], float32, of about zero mean and unit variance.

    Each image blends two of eight scenes (gratings and random patches at several scales, so that
    there are edges, textures and flat areas) with its own weight, contrast and colour cast:
    networks answer nearly the same to all white noise, and zeros would hide wrong results. The
    first images do not depend on ``batch``. Only the result is as large as the batch.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = torch.stack([_scene(height, width, generator) for _ in range(_SCENES)])
    draws = torch.rand(batch, 7, generator=generator)
    images = torch.empty(batch, 3, height, width)
    for image, draw in zip(images, draws, strict=True):
        first = int(draw[0] * _SCENES)
        second = (first + 1 + int(draw[1] * (_SCENES - 1))) % _SCENES
        torch.lerp(scenes[first], scenes[second], draw[2] / 2, out=image)
        image.mul_(0.5 + draw[3]).add_((draw[4:7] - 0.5).view(3, 1, 1))
    return images


def _scene(height: int, width: int, generator: torch.Generator) -> Tensor:
    """One image [3, height, width], normalized to zero mean and unit variance."""
    scene = torch.zeros(3, height, width)
    rows = torch.linspace(0, 2 * math.pi, height).unsqueeze(1)
    columns = torch.linspace(0, 2 * math.pi, width)
    for draw in torch.rand(_GRATINGS, 5, generator=generator):
        frequency, angle = _FINEST ** float(draw[0]), math.pi * float(draw[1])
        down, across = frequency * math.sin(angle), frequency * math.cos(angle)
        wave = torch.sin(down * rows + across * columns)
        scene += wave * (draw[2:5] - 0.5).view(3, 1, 1)
    for cells in _PATCHES:
        patches = torch.rand(1, 3, cells, cells, generator=generator) - 0.5
        scene += functional.interpolate(patches, size=(height, width))[0]
    return (scene - scene.mean()) / scene.std()
