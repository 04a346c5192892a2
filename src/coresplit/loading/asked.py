"""What the process of a load is told: which requests to whom, and how many when."""

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from coresplit.loading.arrivals import (
    Arrival,
    Piece,
    constant_arrivals,
    forever,
    poisson_arrivals,
)

LoadProtocol = Literal["v2", "torchserve", "json", "raw"]
Encoding = Literal["binary", "raw", "json"]
Arrivals = Literal["constant", "poisson"]


class Requests(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to ask of whom.

    ``model`` completes a URL that names none. ``inputs`` are shapes of rows where the server leaves
    them open, such as ``ids=128``. ``body`` is a file; ``authority`` one of certificates.
    ``variants`` different inputs are sent in turn, drawn from ``seed``.
    """

    url: str
    protocol: LoadProtocol
    model: str = ""
    rows: int = 1
    encoding: Encoding = "binary"
    inputs: tuple[str, ...] = ()
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    verify: bool = False
    authority: str | None = None
    seed: int = 0
    variants: int = 4


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to load; times in seconds.

    Closed with ``concurrency`` clients, or open with the rate of ``pieces``, which begin again at
    their end, or with a ``trace``. It ends after ``duration`` or ``requests``, whichever is first.
    Where ``within`` is set, the load ends early once more than ``most_late`` requests took longer.
    """

    asked: str
    concurrency: int | None = None
    think: float = 0.0
    pieces: tuple[Piece, ...] = ()
    arrivals: Arrivals = "poisson"
    seed: int = 0
    trace: str | None = None
    duration: float | None = None
    requests: int | None = None
    warmup: float = 0.0
    timeout: float = 30.0
    connections: int = 1000
    within: float | None = None
    most_late: float | None = None


def times_of(load: Load, arrivals: tuple[Arrival, ...] = ()) -> Iterator[tuple[float, int]]:
    """When requests are due, with their rows, 0 for any; for a closed loop as many as are taken."""
    if load.concurrency is not None:
        while True:
            yield 0.0, 0
    if arrivals:
        yield from ((each.at, each.rows) for each in arrivals)
        return
    duration = math.inf if load.duration is None else load.duration
    pieces = forever(load.pieces, duration)
    found = (
        constant_arrivals(pieces, duration)
        if load.arrivals == "constant"
        else poisson_arrivals(pieces, duration, load.seed)
    )
    yield from ((at, 0) for at in found)
