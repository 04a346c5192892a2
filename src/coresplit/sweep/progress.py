"""What a sweep reports while it runs and when it ends."""

import math
from typing import Protocol

import msgspec

from coresplit.format import format_duration
from coresplit.records import JournalEntry, Measurement


class Sink(Protocol):
    """Where results go as they arrive: a run folder, or a list in tests."""

    def append(self, measurement: Measurement) -> None:
        """Store the current result of a cell."""

    def log(self, entry: JournalEntry) -> None:
        """Store an event."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sweep is; times in seconds.

    Of ``cells`` in the grid, ``covered`` have been visited at least once and ``settled`` need no
    more visits. ``left_s`` is infinite while unknown. ``str`` gives one line.
    """

    doing: str
    cells: int
    covered: int
    settled: int
    elapsed_s: float
    left_s: float

    def __str__(self) -> str:
        """One line, such as ``none t=1 b=8: 3/16 cells, 1 settled, 20 s left``."""
        left = f", {format_duration(max(1.0, self.left_s))} left" if self.left_s < math.inf else ""
        return f"{self.doing}: {self.covered}/{self.cells} cells, {self.settled} settled{left}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a sweep ended: the reason, the time it took, and the part of it spent in forwards."""

    reason: str
    interrupted: bool
    wall_s: float
    forward_s: float
    verdicts: dict[str, int]
