"""The options of a load: server, requests, rate and duration."""

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
    """The server and the requests to send it.

    ``model`` completes a URL that names no model. ``inputs`` gives the row shapes that the server
    leaves open, such as ``ids=128``. ``body`` is a file to send, ``authority`` a certificate file.
    ``variants`` different inputs, generated from ``seed``, are sent in turn.
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
    """One load; times in seconds.

    The loop is closed with ``concurrency`` clients, or open with the rate of ``pieces``, which
    repeat, or with a ``trace``. The load ends after ``duration`` or ``requests``, whichever comes
    first. With ``within``, it ends early once more than ``most_late`` requests took longer.
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
    """Yield when requests are due and their rows, 0 for the default; endless in a closed loop."""
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
