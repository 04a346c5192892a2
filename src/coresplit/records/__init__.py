"""The frozen records that the rooms hand to each other and that run folders hold."""

from coresplit.records.cell import Cell, Mapping, Setting
from coresplit.records.journal import AnchorVisit, Ended, JournalEntry, Prepared, Started
from coresplit.records.machine import Core, Machine
from coresplit.records.measurement import Estimate, Evidence, Measurement, Published, Verdict
from coresplit.records.run import SCHEMA, ModelInfo, Run, Settings

__all__ = [
    "SCHEMA",
    "AnchorVisit",
    "Cell",
    "Core",
    "Ended",
    "Estimate",
    "Evidence",
    "JournalEntry",
    "Machine",
    "Mapping",
    "Measurement",
    "ModelInfo",
    "Prepared",
    "Published",
    "Run",
    "Setting",
    "Settings",
    "Started",
    "Verdict",
]
