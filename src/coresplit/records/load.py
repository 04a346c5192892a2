"""The results of a load of a server; times in seconds, rates per second."""

from typing import Literal

import msgspec

LoadLimit = Literal["", "cpu", "lag"]
"""Why the generator of a load was the bottleneck: its core was busy, or it sent requests late.
Empty if it was not."""
MOST_FAILED = 0.01
"""Share of failed requests up to which the latencies of the others are compared."""


class LoadLatency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Latencies of answered requests, from their intended start.

    A percentile is None if there are too few requests to have one beyond it.
    """

    count: int
    mean: float
    p50: float
    p90: float | None
    p99: float | None
    p999: float | None
    max: float


class LoadSecond(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One second of a load, counted from 0.

    Requests belong to the second in which they were due, ``answers`` to that in which they came.
    ``cpu`` is the share of a core that the generator used, ``lag`` its largest delay.
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
    """What a server reported at second ``at``: the number of its instances, and their groups."""

    at: float
    instances: int
    split: str


class LoadGenerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The generator itself: CPU of its core, how late it sent, how many had no connection.

    ``cpus`` are those it was bound to, empty for none; ``shared`` are those of them that the server
    may use too. ``lag_p99`` is None if nothing was due by the clock.
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

    Everything but ``seconds`` and ``splits`` excludes the warm-up. ``errors`` counts failed
    requests by kind, ``late`` those that failed or took longer than the requested latency.
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
        """True if hardly any request failed: a server that refuses many is fast for the rest."""
        return self.failed + self.unfinished <= MOST_FAILED * self.due


class LoadCompared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How two servers differ in ``what``: the median of each over rounds, and their ratio.

    ``ratio`` is how many times as fast the first is, or how many times the throughput it has, with
    the 95 % interval. ``relation`` is that of the first to the second.
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
    """One load of a search: whether ``rate`` requests per second held the latency.

    ``ended_early`` is True if it was stopped as certain to fail, so that its counts cover a part.
    ``limit`` is that of the generator.
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

    ``low`` is the highest rate at which every trial held, None if none did; ``high`` the lowest
    at which every trial failed, None if none did. ``limit`` says whose limit was reached.
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
        """The requests of a trial at ``low`` if too few to have one beyond the percentile."""
        found = min((each.count for each in self.trials if each.rate == self.low), default=None)
        if found is None or found * (1 - self.percentile / 100) >= 1 - 1e-9:
            return None
        return found


class LoadResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of ``load``: one run, the rounds of two servers, or the trials of a search.

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
