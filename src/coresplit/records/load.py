"""What a load of a server showed; times in seconds, rates per second."""

from typing import Literal

import msgspec

LoadLimit = Literal["", "cpu", "lag"]
"""What made the generator of a load the bottleneck: its core was busy, or requests went out late.
Empty where it was none."""


class LoadLatency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Latencies of answered requests, from their intended start.

    A percentile is None where there are too few requests to have one beyond it.
    """

    count: int
    mean: float
    p50: float
    p90: float | None
    p99: float | None
    p999: float | None
    max: float


class LoadSecond(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One second of a load, its first being 0.

    Requests belong to the second in which they were due, ``answers`` to that in which they came.
    ``cpu`` is the share of a core that the generator used, ``lag`` how late it was at most.
    """

    at: int
    due: int
    answers: int
    failed: int
    p50: float | None
    p99: float | None
    max: float | None
    open: int
    cpu: float
    lag: float


class SplitSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a server said of its instances ``at`` so many seconds: how many, and in which groups."""

    at: float
    instances: int
    split: str


class LoadGenerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the generator fared: CPU of its core, how late it sent, how many had no connection.

    ``cpus`` are those it was bound to, empty for none; ``shared`` are those of them that the server
    may use too. ``lag_p99`` is None where nothing was due by the clock.
    """

    limit: LoadLimit
    cpu: float
    lag_p99: float | None
    lag_max: float
    waited: int
    connections: int
    cpus: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()


class LoadRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One load of one server.

    Everything but ``seconds`` and ``splits`` leaves the warm-up out. ``errors`` has failed requests
    by kind. ``late`` are requests that failed or took longer than the latency that was asked for.
    ``distribution`` has shares of requests with the latency that they stay within. ``histogram`` is
    an HDR histogram of microseconds in its V2 encoding.
    """

    url: str
    asked: str
    warmup_s: float
    window_s: float
    due: int
    answered: int
    failed: int
    unfinished: int
    late: int
    throughput: float
    rows: int
    errors: dict[str, int]
    latency: LoadLatency | None
    distribution: tuple[tuple[float, float], ...]
    histogram: str
    seconds: tuple[LoadSecond, ...]
    splits: tuple[SplitSeen, ...]
    generator: LoadGenerator
    interrupted: bool = False
    stopped_early: bool = False
