"""Seeded, structured images: what a network sees while it is measured and compared."""

import math

import torch
from torch import Tensor
from torch.nn import functional

_SCENES = 8
_GRATINGS = 6
_FINEST = 24
_PATCHES = (3, 9, 27)


def structured_images(batch: int, size: int, seed: int) -> Tensor:
    """Images [batch, 3, size, size], float32, of about zero mean and unit variance.

    Each image blends two of eight scenes (gratings and random patches at several scales, so that
    there are edges, textures and flat areas) with its own weight, contrast and colour cast:
    white noise would look alike to a network, and zeros would hide wrong results. The first
    images do not depend on ``batch``. Only the result is as large as the batch.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = torch.stack([_scene(size, generator) for _ in range(_SCENES)])
    draws = torch.rand(batch, 7, generator=generator)
    images = torch.empty(batch, 3, size, size)
    for image, draw in zip(images, draws, strict=True):
        first = int(draw[0] * _SCENES)
        second = (first + 1 + int(draw[1] * (_SCENES - 1))) % _SCENES
        torch.lerp(scenes[first], scenes[second], draw[2] / 2, out=image)
        image.mul_(0.5 + draw[3]).add_((draw[4:7] - 0.5).view(3, 1, 1))
    return images


def _scene(size: int, generator: torch.Generator) -> Tensor:
    """One image [3, size, size], normalized to zero mean and unit variance."""
    scene = torch.zeros(3, size, size)
    axis = torch.linspace(0, 2 * math.pi, size)
    for draw in torch.rand(_GRATINGS, 5, generator=generator):
        frequency, angle = _FINEST ** float(draw[0]), math.pi * float(draw[1])
        down, across = frequency * math.sin(angle), frequency * math.cos(angle)
        wave = torch.sin(down * axis.unsqueeze(1) + across * axis)
        scene += wave * (draw[2:5] - 0.5).view(3, 1, 1)
    for cells in _PATCHES:
        patches = torch.rand(1, 3, cells, cells, generator=generator) - 0.5
        scene += functional.interpolate(patches, size=(size, size))[0]
    return (scene - scene.mean()) / scene.std()
