"""One sweep of one model on one machine."""

from typing import Literal

import msgspec

from coresplit.records.cell import Cell, Setting
from coresplit.records.journal import JournalEntry
from coresplit.records.machine import Machine
from coresplit.records.measurement import Measurement
from coresplit.records.variant import Mapping

SCHEMA = 3


Form = Literal["module", "onnx"]
"""The form of a model: a PyTorch module or an ONNX file."""
Inputs = Literal["hot", "rotate"]
"""The inputs of the forwards of a batch: one, or several in turn, too large to be cached."""


class ModelInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input of a model; ``shape`` is without the batch.

    Integers are drawn from ``low`` to ``high``, both included; None leaves that to the caller.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    low: int | None = None
    high: int | None = None

    def __str__(self) -> str:
        """Write it as ``parse_input`` of the models reads it."""
        sizes = "x".join(map(str, self.shape)) or "scalar"
        span = "" if self.low is None else f":{self.low}-{self.high}"
        return f"{self.name}={sizes}:{self.dtype}{span}"


class ModelOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One output of a model; ``shape`` is without the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


class ModelInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network that was measured.

    ``name`` is short enough for file names; ``source`` is the model as the user gave it.
    ``weights`` is a hash, ``flops`` are the floating point operations of one input, 0 if unknown.
    """

    name: str
    title: str
    source: str = ""
    inputs: tuple[ModelInput, ...] = ()
    parameters: int = 0
    weights: str = ""
    largest_tensor: int = 0
    flops: int = 0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the sweep was asked to do.

    ``budget_s`` is None for no limit; ``precision`` is relative. ``cores`` is how many cores the
    copies of a packed cell fill. ``inputs`` says whether the forwards of a batch get one input or
    several in turn.
    """

    optimizations: tuple[str, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    mappings: tuple[Mapping, ...] = ("sequential",)
    allocators: tuple[str, ...] = ("default",)
    settings: tuple[Setting, ...] = ("isolated",)
    cores: int = 0
    budget_s: float | None = None
    precision: float = 0.02
    seed: int = 0
    inputs: Inputs = "hot"
    anchor: Cell | None = None


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A loaded run folder. ``machine`` is None for imported tables, which do not state it.

    ``measurements`` has one entry per cell. ``software`` maps a library to its version.
    """

    name: str
    created_at: float
    model: ModelInfo
    settings: Settings
    machine: Machine | None
    software: dict[str, str]
    measurements: tuple[Measurement, ...]
    journal: tuple[JournalEntry, ...] = ()
    warnings: tuple[str, ...] = ()
