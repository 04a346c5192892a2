"""A built model, and where files made from it are stored while it is in use."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from coresplit.records import ModelInput

if TYPE_CHECKING:
    from torch import Tensor, nn

Keep = Callable[[str, Mapping[str, str], Callable[[Path], None]], Path]
"""Takes a kind, a key and a function that writes files to an empty folder; returns the folder."""


class BuiltModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is ready for preparation: a network in eval mode, or an ONNX file.

    ``module`` takes its ``inputs`` by position and returns a tensor or a tuple of tensors; it is
    None for an ONNX model, which is the file ``onnx``. ``weights_hash`` identifies the weights: it
    covers a checkpoint as stored, and random weights as drawn, before calibration, because its
    rounding depends on the number of threads. ``outputs`` are the names of a file's outputs; a
    module has none. ``files`` are the user's own files that hold the model while it is used, with
    ``weights_hash`` as their hash; empty for a module or a copy.
    """

    module: "nn.Module | None"
    onnx: Path | None = None
    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...] = ()
    parameters: int
    weights_hash: str
    files: tuple[Path, ...] = ()

    def make_inputs(self, batch: int, seed: int) -> "tuple[Tensor, ...]":
        """One seeded tensor [batch, *shape] per input; first rows do not depend on ``batch``."""
        from coresplit.models.inputs import generate  # noqa: PLC0415

        return generate(self.inputs, batch, seed)


def until_exit(kind: str, key: Mapping[str, str], build: Callable[[Path], None]) -> Path:
    """Return a temporary folder that ``build`` fills; removed when this process ends."""
    del key
    folder = Path(tempfile.mkdtemp(prefix=f"coresplit-{kind}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder)
    return folder
