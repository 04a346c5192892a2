"""What a cell yielded."""

from typing import Literal

import msgspec

from coresplit.records.cell import Cell

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


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A latency in seconds that was not measured, with the interval it is expected in."""

    low: float
    latency: float
    high: float


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an imported table states of a cell, in seconds; it holds no raw samples."""

    minimum: float
    mean: float
    maximum: float


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a cell yielded: raw samples in seconds, the verdict and its reason, the evidence.

    A cell of the packed setting has one sample a round, the time until the last copy had ended;
    ``copies`` then holds the durations of every copy, round by round.

    Exactly one of these holds: ``samples`` is not empty (``measured``, ``light``, ``unstable``,
    ``invalid``), ``estimate`` is set (``estimated``), ``published`` is set (imported), or there
    is no value at all (``skipped``, ``failed``).
    """

    cell: Cell
    verdict: Verdict
    reason: str
    samples: tuple[float, ...] = ()
    warmup: tuple[float, ...] = ()
    evidence: Evidence | None = None
    estimate: Estimate | None = None
    published: Published | None = None
    copies: tuple[tuple[float, ...], ...] = ()
