"""Eager execution, the reference for all others, and the class that runs PyTorch models."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from coresplit.optimizations.base import Artifact, CompiledModel, Forward, PrepareRequest


class TorchModel:
    """A callable that takes tensors by position and runs in inference mode."""

    def __init__(
        self,
        forward: Callable[..., Any],
        facts: dict[str, str] | None = None,
        artifact: Artifact | None = None,
    ) -> None:
        self._forward = forward
        self.artifact = artifact
        self.facts = {"library": f"PyTorch {torch.__version__}", **(facts or {})}

    @property
    def threads(self) -> int:
        """Intra-op threads that PyTorch reports."""
        return torch.get_num_threads()

    def bind(self, inputs: tuple[Tensor, ...], like: Forward | None = None) -> Forward:
        """Return a forward on these tensors."""
        run = self._forward
        # created once and entered for every forward, because creating it takes longer
        mode = torch.inference_mode()

        def forward() -> tuple[Tensor, ...]:
            with mode:
                outputs = run(*inputs)
            return outputs if isinstance(outputs, tuple) else (outputs,)

        return forward


def prepare(request: PrepareRequest) -> CompiledModel:
    """Return the module itself as a compiled model."""
    assert request.module is not None
    return TorchModel(request.module)
