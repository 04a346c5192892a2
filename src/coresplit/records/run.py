"""One sweep of one model on one machine."""

import msgspec

from coresplit.records.cell import Cell, Mapping, Setting
from coresplit.records.journal import JournalEntry
from coresplit.records.machine import Machine
from coresplit.records.measurement import Measurement

SCHEMA = 1


class ModelInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which network was measured. ``weights`` is a hash, ``input_shape`` is without the batch."""

    name: str
    title: str
    input_shape: tuple[int, ...] = ()
    parameters: int = 0
    weights: str = ""
    largest_tensor: int = 0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was asked of the sweep. ``budget_s`` is None for no limit; ``precision`` is relative."""

    optimizations: tuple[str, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    mappings: tuple[Mapping, ...] = ("sequential",)
    allocators: tuple[str, ...] = ("default",)
    settings: tuple[Setting, ...] = ("isolated",)
    budget_s: float | None = None
    precision: float = 0.02
    seed: int = 0
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
