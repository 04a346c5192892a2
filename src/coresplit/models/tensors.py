"""The hash of a network's weights, its largest tensor and its floating point operations."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from torch import Tensor, nn

_DIGITS = 16


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one input: bytes of the largest tensor, and floating point operations.

    Zero means unknown. A multiplication and an addition count as two operations.
    """

    largest_tensor: int = 0
    flops: int = 0


def weights_hash(module: "nn.Module") -> str:
    """The hash of the state of a module; buffers that it does not save are left out."""
    return tensors_hash(module.state_dict())


def tensors_hash(tensors: "Mapping[str, Tensor]") -> str:
    """First 16 hex digits of the SHA-256 over names, shapes, types and bytes of tensors."""
    from torch import uint8  # noqa: PLC0415

    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        # numpy has no bfloat16, so view it as bytes
        digest.update(tensor.contiguous().flatten().view(uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]


def survey(module: "nn.Module", inputs: "tuple[Tensor, ...]") -> Survey:
    """Run one forward over the first row of each of ``inputs`` [N, ...] and watch every operator.

    The largest tensor is the largest that an operator allocates. Operations are those of
    convolutions, matrix products and attention, counted as they are dispatched. Both are unknown if
    the model has a loop that is an operator.
    """
    from torch import inference_mode  # noqa: PLC0415

    from coresplit.models.watching import Watch  # noqa: PLC0415

    with inference_mode(), Watch() as watch:
        module(*(each[:1] for each in inputs))
    if not watch.complete:
        return Survey()
    return Survey(largest_tensor=watch.largest_tensor, flops=watch.flops)
