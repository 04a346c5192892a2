"""What a sweep tells while it runs and when it ends."""

from typing import Protocol

import msgspec

from coresplit.records import JournalEntry, Measurement


class Sink(Protocol):
    """Where results go as they come; a run folder, or a list in tests."""

    def append(self, measurement: Measurement) -> None:
        """Keep what stands of a cell."""

    def log(self, entry: JournalEntry) -> None:
        """Keep an event."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sweep is; times in seconds, ``left_s`` infinite while it cannot be told."""

    doing: str
    cells: int
    covered: int
    settled: int
    elapsed_s: float
    left_s: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a sweep ended: why, in which time, and the share of it spent in forwards."""

    reason: str
    interrupted: bool
    wall_s: float
    forward_s: float
    verdicts: dict[str, int]
