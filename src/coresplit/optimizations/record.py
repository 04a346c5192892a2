"""What an optimization is."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from torch import Tensor, nn


class Optimization(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way to prepare a model for inference.

    ``lossy`` says that outputs differ from eager by more than rounding, on purpose. ``packages``
    must be importable for it, and come with ``extra``. ``module`` is imported when it is used.
    """

    name: str
    title: str
    description: str
    lossy: bool
    packages: tuple[str, ...]
    extra: str
    module: str

    def prepare(self, module: "nn.Module", example: "Tensor") -> "Callable[[Tensor], Tensor]":
        """The prepared forward, in inference mode, already run on ``example`` [N, ...].

        It takes batches of other sizes than the example's too. ``module`` must be in eval mode
        and stays usable. Raises what the library raises: the caller knows what it was doing.
        """
        prepare: Callable[[nn.Module, Tensor], Callable[[Tensor], Tensor]]
        prepare = import_module(self.module).prepare
        return prepare(module, example)
