"""Build the model that a spec asks for. torch is imported here on the first build, not before."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from coresplit.errors import EnvironmentFault
from coresplit.models.keeping import Keep, until_exit
from coresplit.models.sources import source_of, usable
from coresplit.models.spec import ModelSpec, validate
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


def build(spec: ModelSpec, keep: Keep = until_exit) -> BuiltModel:
    """Make the network and its weights; 0.1 to 2 s on one thread without a checkpoint.

    A user's own model is loaded and tried on a few inputs. Files that are made of it go to
    ``keep``. Raises ``UsageError`` for a spec, model or checkpoint that cannot be used and
    ``EnvironmentFault`` where torch or another library is not installed or broken.
    """
    validate(spec)
    if (reason := usable(spec.name)) is not None:
        raise EnvironmentFault(reason)
    if source_of(spec.name).kind == "builtin":
        from coresplit.models.builtin import build_builtin  # noqa: PLC0415

        return build_builtin(spec)
    from coresplit.models.own import build_own  # noqa: PLC0415

    return build_own(spec, keep)
