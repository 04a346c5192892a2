"""What a load of a server showed; times in seconds, rates per second."""

from typing import Literal

import msgspec

LoadLimit = Literal["", "cpu", "lag"]
"""What made the generator of a load the bottleneck: its core was busy, or requests went out late.
Empty where it was none."""
MOST_FAILED = 0.01
"""Of the requests of a load, up to which the latencies of the others are compared."""


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

    @property
    def tells_latency(self) -> bool:
        """Whether hardly any request failed: a server that refuses many is fast with the rest."""
        return self.failed + self.unfinished <= MOST_FAILED * self.due


class LoadCompared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How two servers differ in ``what``: the median of each over rounds, and their ratio.

    ``ratio`` is how many times as fast the first is, or as much throughput as it has, with its 95 %
    interval. ``relation`` is what is shown of the first.
    """

    what: Literal["p50", "p99", "throughput"]
    first: float
    second: float
    ratio: float
    low: float
    high: float
    rounds: int
    relation: Literal["faster", "slower", "equivalent", "unclear"]


class LoadTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One load of a search: whether so many requests per second held the latency.

    ``ended_early`` once it had failed for certain, so that its counts are of a part. ``limit`` is
    as of the generator.
    """

    rate: float
    held: bool
    late: int
    count: int
    throughput: float
    ended_early: bool = False
    limit: LoadLimit = ""


class LoadSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The highest rate that holds a latency.

    ``low`` is the highest rate at which every trial held, None where none did; ``high`` the lowest
    at which every trial failed, None where none did. ``limit`` is whose limit was reached.
    """

    slo: float
    percentile: float
    low: float | None
    high: float | None
    limit: Literal["server", "generator", "none"]
    trials: tuple[LoadTrial, ...]
    finished: bool = True

    @property
    def too_few(self) -> int | None:
        """The requests of a trial at ``low``, if none of them can lie beyond the percentile."""
        found = min((each.count for each in self.trials if each.rate == self.low), default=None)
        if found is None or found * (1 - self.percentile / 100) >= 1 - 1e-9:
            return None
        return found


class LoadResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``load`` found: one run, the rounds of two servers, or the trials of a search.

    ``created_at`` is Unix time, ``targets`` are the URLs with what was sent to each.
    """

    version: str
    created_at: float
    targets: tuple[tuple[str, str], ...]
    runs: tuple[LoadRun, ...]
    compared: tuple[LoadCompared, ...] = ()
    search: LoadSearch | None = None
    interrupted: bool = False

    @property
    def failed(self) -> int:
        """Requests that failed in all runs."""
        return sum(run.failed for run in self.runs)
