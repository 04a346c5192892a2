"""The frozen records that packages pass to each other and that run folders hold."""

from coresplit.records.cell import Cell, Setting
from coresplit.records.interval import Interval
from coresplit.records.journal import (
    UNCHECKED,
    AnchorVisit,
    Cause,
    Disturbed,
    Ended,
    JournalEntry,
    Peak,
    Prepared,
    Started,
)
from coresplit.records.machine import Core, Machine
from coresplit.records.measurement import (
    Evidence,
    Measurement,
    Published,
    Signs,
    Verdict,
    Visit,
)
from coresplit.records.run import (
    SCHEMA,
    Form,
    Inputs,
    ModelInfo,
    ModelInput,
    ModelOutput,
    Run,
    Settings,
)
from coresplit.records.split import Configuration, Piece, Split, Trial, Verification, split_of
from coresplit.records.variant import Mapping, Variant

__all__ = [
    "SCHEMA",
    "UNCHECKED",
    "AnchorVisit",
    "Cause",
    "Cell",
    "Configuration",
    "Core",
    "Disturbed",
    "Ended",
    "Evidence",
    "Form",
    "Inputs",
    "Interval",
    "JournalEntry",
    "Machine",
    "Mapping",
    "Measurement",
    "ModelInfo",
    "ModelInput",
    "ModelOutput",
    "Peak",
    "Piece",
    "Prepared",
    "Published",
    "Run",
    "Setting",
    "Settings",
    "Signs",
    "Split",
    "Started",
    "Trial",
    "Variant",
    "Verdict",
    "Verification",
    "Visit",
    "split_of",
]
