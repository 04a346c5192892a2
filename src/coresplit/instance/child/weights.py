"""Weights shared by the instances of a server, mapped from one file of the cache."""

import hashlib
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from coresplit.cache import Cache

_FILE = "weights.pt"
_DIGITS = 16


def map_weights(module: nn.Module, key: Mapping[str, str], cache: Cache) -> None:
    """Replace the parameters and buffers of a module by those of a file that all callers map.

    Values and strides stay the same and must only depend on ``key``. The pages belong to the page
    cache, so they are in memory once. Raises StorageError on a disk error, EnvironmentFault if
    other users can write to the cache.
    """
    own = {
        name: tensor
        for name, tensor in chain(module.named_parameters(), module.named_buffers())
        if type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided
    }

    def save(folder: Path) -> None:
        # through a file of Python, so that a full disk is an OSError
        with (folder / _FILE).open("wb") as file:
            torch.save({name: tensor.data for name, tensor in own.items()}, file)

    key = {**key, "torch": str(torch.__version__), "tensors": _layout(module, own)}
    path = cache.get("weights", key, save) / _FILE
    mapped = torch.load(path, mmap=True, weights_only=True)
    for name, tensor in own.items():
        tensor.data = mapped[name]


def _layout(module: nn.Module, own: Mapping[str, Tensor]) -> str:
    """Return a digest of what the file holds besides the values of parameters.

    The hash of the weights does not cover buffers that are not in the state dict.
    """
    digest = hashlib.sha256()
    for name, tensor in own.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {tensor.stride()}\n".encode())
    for name, buffer in module.named_buffers():
        if name in own:
            digest.update(buffer.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]
