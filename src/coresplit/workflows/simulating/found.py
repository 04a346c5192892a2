"""What a simulation found; times in seconds, rates per second."""

from typing import Literal

import msgspec

from coresplit.records.load import LoadSearch
from coresplit.stats.difference import Relation

What = Literal["mean", "p99"]
Kind = Literal["fixed", "adapting", "packrat"]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How a load went with some instances, or with changing ones: medians over rounds.

    ``requests`` are those that came, of which ``refused`` were not taken. ``throughput`` counts
    requests that were answered within the time of the load, and ``behind`` is whether many were
    not. A percentile is None where there are too few requests to have one beyond it.
    """

    name: str
    kind: Kind = "fixed"
    requests: float
    refused: float
    mean: float
    p50: float
    p99: float | None
    throughput: float
    switches: float
    behind: bool


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as fast one is as another, with its 95 % interval, and what that shows."""

    what: What
    ratio: float
    low: float
    high: float
    relation: Relation


class Gains(msgspec.Struct, frozen=True, kw_only=True):
    """How one stands to another."""

    name: str
    other: str
    gains: tuple[Gain, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate at which some instances hold a latency."""

    name: str
    search: LoadSearch


class SimulateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``simulate`` found: a load in rounds, or the highest rates within a latency.

    The instances that are ``best`` for the load have the lowest mean of squared latencies;
    ``close`` are others that are not shown to be worse. ``ranked`` compares the best with the
    second, ``adapted`` and ``packrat`` changing instances with the best fixed ones.
    ``simulated_s`` were simulated within ``took_s``.
    """

    version: str
    run: str
    cores: int
    setting: str
    asked: str
    rounds: int
    rows: tuple[Replayed, ...] = ()
    best: str | None = None
    close: tuple[str, ...] = ()
    ranked: Gains | None = None
    adapted: Gains | None = None
    packrat: Gains | None = None
    held: tuple[Held, ...] = ()
    simulated_s: float
    took_s: float
