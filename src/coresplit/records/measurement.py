"""The measurement of a cell."""

from itertools import accumulate, pairwise
from typing import Literal

import msgspec

from coresplit.records.cell import Cell
from coresplit.records.interval import Interval

Verdict = Literal["measured", "light", "unstable", "invalid", "estimated", "skipped", "failed"]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Counters read around the timed forwards of one cell; sums over all its visits.

    Times are in seconds and memory in bytes. ``thread_cores`` is the allowed core list of
    every thread that was busy while timed, one entry per thread.
    """

    visits: int = 1
    forwards: int
    wall_s: float
    user_s: float
    system_s: float
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    throttled_periods: int
    throttled_s: float
    steal_s: float
    peak_memory: int
    started_at: float
    threads: int
    thread_cores: tuple[str, ...]


class Signs(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Shows whether the timed forwards of one visit had their cores to themselves.

    Times are in seconds and clocks in Hz. ``waited_s`` is how long the thread that waited most was
    ready to run while something else ran on its core; None if the kernel does not report it.
    ``others_s`` is how long other processes ran on a core of the instance, the one where they ran
    most. ``core`` is where that was; None if the thread may move. ``sibling_s`` is how long the
    busiest SMT sibling of the cores was busy. The clock is the mean over the cores, at the end and,
    if forwards came before the timed ones, at their start; None if it is unknown.
    """

    wall_s: float
    waited_s: float | None = None
    others_s: float = 0.0
    core: int | None = None
    sibling_s: float = 0.0
    sibling: int | None = None
    switches: int = 0
    major_faults: int = 0
    clock_hz: float | None = None
    clock_begin_hz: float | None = None


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The values of a cell in an imported table, in seconds; a table holds no raw samples."""

    minimum: float
    mean: float
    maximum: float


class Visit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One visit to a cell, and how many samples and warm-up forwards of the measurement it has.

    ``at`` is its start in Unix seconds. Cells that were visited side by side have the same
    ``block``, a number of the run; None if that is not known. ``process`` counts the processes
    that the instance of the cell has had, from 0. ``signs`` show whether it was disturbed.
    """

    samples: int
    warmup: int = 0
    at: float = 0.0
    block: int | None = None
    process: int = 0
    signs: Signs | None = None


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of a cell: raw samples in seconds, the verdict and its reason, the evidence.

    A cell of the packed setting has one sample per round, the time until the last copy ended;
    ``copies`` then holds the durations of every copy, round by round.

    Exactly one of these holds: ``samples`` is not empty (``measured``, ``light``, ``unstable``,
    ``invalid``), ``estimate`` is set (``estimated``), ``published`` is set (imported), or there
    is no value at all (``skipped``, ``failed``).

    ``visits`` divides the samples and the warm-up samples, in order. It is empty if a cell has
    no samples, or none that count (``invalid``).
    """

    cell: Cell
    verdict: Verdict
    reason: str
    samples: tuple[float, ...] = ()
    warmup: tuple[float, ...] = ()
    evidence: Evidence | None = None
    estimate: Interval | None = None
    published: Published | None = None
    copies: tuple[tuple[float, ...], ...] = ()
    visits: tuple[Visit, ...] = ()

    @property
    def by_visit(self) -> tuple[tuple[float, ...], ...]:
        """The samples of every visit; all in one if the visits are not known."""
        if not self.visits:
            return (self.samples,) if self.samples else ()
        ends = list(accumulate(visit.samples for visit in self.visits))
        return tuple(self.samples[start:end] for start, end in pairwise([0, *ends]))
