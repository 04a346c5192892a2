"""Weights shared by the instances of a server, mapped from one file of the cache."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from coresplit.cache import Cache
from coresplit.models.tensors import tensors_hash

_FILE = "weights.pt"


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

    # the hash of the weights does not cover buffers that are not in the state dict
    buffers = tensors_hash({name: own[name] for name, _ in module.named_buffers() if name in own})
    key = {**key, "torch": str(torch.__version__), "buffers": buffers}
    path = cache.get("weights", key, save) / _FILE
    mapped = torch.load(path, mmap=True, weights_only=True)
    for name, tensor in own.items():
        tensor.data = mapped[name]
