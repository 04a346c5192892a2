"""The results of a simulation; times in seconds, rates per second."""

from typing import Literal

import msgspec

from coresplit.records.load import LoadSearch
from coresplit.stats.difference import Relation

What = Literal["mean", "p99"]
Kind = Literal["fixed", "adapting", "packrat"]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a load on fixed or changing instances: medians over rounds.

    ``requests`` counts all that arrived, ``refused`` those not accepted. ``throughput`` counts
    requests that were answered within the time of the load, and ``behind`` is True if many were
    not. A percentile is None if there are too few requests to have one beyond it.
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
    """How many times as fast one is as another, with the 95 % interval and the relation shown."""

    what: What
    ratio: float
    low: float
    high: float
    relation: Relation


class Gains(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one with another."""

    name: str
    other: str
    gains: tuple[Gain, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate at which some instances hold a latency."""

    name: str
    search: LoadSearch


class SimulateResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``simulate``: a load in rounds, or the highest rates within a latency.

    The instances that are ``best`` for the load have the lowest mean of squared latencies;
    ``close`` are others that are not shown to be worse. ``ranked`` compares the best with the
    second, ``adapted`` and ``packrat`` changing instances with the best fixed ones.
    ``simulated_s`` seconds of load were simulated in ``took_s`` seconds.
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
