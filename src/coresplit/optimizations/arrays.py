"""Models of libraries that compute on numpy arrays and so also run without PyTorch."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coresplit.optimizations.base import Artifact, Forward

if TYPE_CHECKING:
    from torch import Tensor

Arrays = tuple[NDArray[Any], ...]
ArrayForward = Callable[[], Arrays]
"""Runs one forward and returns its outputs, which the next call may overwrite."""
Bind = Callable[[Arrays, ArrayForward | None], ArrayForward]
"""Makes a forward over arrays, as ``ArrayModel.over`` does."""


class ArrayModel(ABC):
    """A ``CompiledModel`` that reads and returns arrays."""

    facts: dict[str, str]

    @property
    @abstractmethod
    def threads(self) -> int:
        """Intra-op threads that the library reports."""

    @property
    @abstractmethod
    def artifact(self) -> Artifact:
        """The artifact it was loaded from."""

    @abstractmethod
    def over(self, inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        """Return a forward on C-contiguous arrays, without a copy; ``like`` as for ``bind``."""

    def bind(self, inputs: "tuple[Tensor, ...]", like: Forward | None = None) -> Forward:
        """Return a forward on these tensors, in the order of the model's inputs."""
        arrays = tuple(tensor.contiguous().numpy() for tensor in inputs)
        same = like.over if isinstance(like, _OverTensors) else None
        return _OverTensors(self.over(arrays, same))


class _OverTensors:
    def __init__(self, over: ArrayForward) -> None:
        self.over = over

    def __call__(self) -> "tuple[Tensor, ...]":
        return tuple(map(_tensor, self.over()))


def _tensor(output: NDArray[Any]) -> "Tensor":
    from torch import from_numpy  # noqa: PLC0415

    # numpy has two unsigned 64-bit types; torch only accepts np.uint64
    return from_numpy(output.view(np.uint64) if output.dtype == np.uint64 else output)
