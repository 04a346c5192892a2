"""A model that was built: what preparing and measuring need of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from coresplit.records import ModelInput

if TYPE_CHECKING:
    from torch import Tensor, nn


class BuiltModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is ready to be prepared: a network in eval mode, or an ONNX file.

    ``module`` takes its ``inputs`` by position and returns a tensor or a tuple of tensors; it is
    None for a model that came as the file ``onnx``. ``weights_hash`` names the weights: of random
    ones as they were drawn, before the steps whose last bits depend on the number of threads; of
    a checkpoint as they are in the file.
    """

    module: "nn.Module | None"
    onnx: Path | None = None
    inputs: tuple[ModelInput, ...]
    parameters: int
    weights_hash: str

    def make_inputs(self, batch: int, seed: int) -> "tuple[Tensor, ...]":
        """Seeded inputs, one tensor [batch, *shape] for each; the first do not depend on batch."""
        from coresplit.models.inputs import generate  # noqa: PLC0415

        return generate(self.inputs, batch, seed)
