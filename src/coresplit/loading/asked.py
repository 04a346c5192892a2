"""What the process of a load is told: which requests to whom, and how many when."""

from typing import Literal

import msgspec

from coresplit.loading.arrivals import Piece

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
