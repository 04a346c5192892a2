"""A module that takes its inputs by position and returns a tensor or a tuple of tensors."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from coresplit.errors import UsageError


class Flat(nn.Module):
    """Calls ``network`` with the last inputs by keyword, and returns the tensors of its outputs.

    Dicts, lists and data classes are flattened in their order, also nested ones; values that are
    not tensors are left out.
    """

    def __init__(self, network: nn.Module, keywords: Sequence[str] = ()) -> None:
        super().__init__()
        self.network = network
        self.keywords = tuple(keywords)
        # some programs refuse calls of train() and eval()
        self.training = False

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map inputs [N, ...] to a tuple of tensors."""
        first = len(inputs) - len(self.keywords)
        named = dict(zip(self.keywords, inputs[first:], strict=True))
        outputs = self.network(*inputs[:first], **named)
        leaves = _pytree.tree_leaves(outputs)
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def flat(
    model: str, module: nn.Module, keywords: Sequence[str], example: tuple[Tensor, ...]
) -> nn.Module:
    """The module itself if its inputs and outputs are already flat, else wrapped in ``Flat``.

    Runs it once. Raises ``UsageError`` if it returns no tensor, and whatever the module raises.
    """
    wrapped = Flat(module, keywords)
    first = len(example) - len(wrapped.keywords)
    with torch.inference_mode():
        outputs = module(
            *example[:first], **dict(zip(wrapped.keywords, example[first:], strict=True))
        )
    plain = isinstance(outputs, tuple) and all(isinstance(each, Tensor) for each in outputs)
    if not keywords and (isinstance(outputs, Tensor) or (plain and outputs)):
        return module
    _register(outputs)
    if not any(isinstance(leaf, Tensor) for leaf in _pytree.tree_leaves(outputs)):
        raise UsageError(
            f"{model} returns {type(outputs).__name__} without a tensor in it; "
            "name a module whose forward returns tensors"
        )
    return wrapped


def _register(outputs: object) -> None:
    """Register the data classes among the outputs, so that they can be flattened."""
    while kinds := {
        type(leaf) for leaf in _pytree.tree_leaves(outputs) if dataclasses.is_dataclass(leaf)
    }:
        for kind in kinds:
            _pytree.register_dataclass(kind)
