"""The frozen records that the rooms hand to each other and that run folders hold."""

from coresplit.records.cell import Cell, Mapping, Setting
from coresplit.records.journal import AnchorVisit, Ended, JournalEntry, Peak, Prepared, Started
from coresplit.records.machine import Core, Machine
from coresplit.records.measurement import Estimate, Evidence, Measurement, Published, Verdict
from coresplit.records.run import SCHEMA, Form, ModelInfo, ModelInput, Run, Settings

__all__ = [
    "SCHEMA",
    "AnchorVisit",
    "Cell",
    "Core",
    "Ended",
    "Estimate",
    "Evidence",
    "Form",
    "JournalEntry",
    "Machine",
    "Mapping",
    "Measurement",
    "ModelInfo",
    "ModelInput",
    "Peak",
    "Prepared",
    "Published",
    "Run",
    "Setting",
    "Settings",
    "Started",
    "Verdict",
]
