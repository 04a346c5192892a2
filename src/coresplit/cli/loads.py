"""Options that describe a load, shared by ``load`` and ``simulate``."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coresplit.cli.types import Duration, Share

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_POSITIVE = click.FloatRange(0, 1e6, min_open=True)
_ARRIVALS = ("poisson", "constant")

SENDING = (
    click.option("--concurrency", type=click.IntRange(1, 10_000), metavar="N",
                 help="Closed loop: N clients, each waits for its answer. Default 1."),
    click.option("--think", type=Duration(), metavar="TIME",
                 help="Pause of a client before its next request."),
    click.option("--rate", type=_POSITIVE, metavar="R", help="Open loop: R requests per second."),
    click.option("--arrivals", type=click.Choice(_ARRIVALS), default="poisson", show_default=True,
                 help="Spacing of the requests of an open loop."),
    click.option("--shape", metavar="SHAPE",
                 help="Rate over time: step:5,50@30s, ramp:5..50@60s, spike:5..50@10s/60s, "
                 "diurnal:5..50@10m; join with +."),
    click.option("--trace", type=click.Path(), metavar="FILE",
                 help="Request times: one line each, seconds and optionally rows."),
)  # fmt: skip
"""Options for when requests are sent."""

SEARCHING = (
    click.option("--slo", type=Duration(), metavar="TIME",
                 help="Find the highest rate within a latency, such as 100ms."),
    click.option("--percentile", type=click.FloatRange(1, 99.999), default=99.0, show_default=True,
                 metavar="P", help="Percentile that must meet --slo."),
    click.option("--precision", type=Share(), default="5%", show_default=True, metavar="SHARE",
                 help="Relative precision of the search."),
)  # fmt: skip
"""Options of the search for the highest rate."""

ROWS = click.option("--rows", type=click.IntRange(1, 1 << 20), default=1, show_default=True,
                    metavar="N", help="Rows per request of v2.")  # fmt: skip


def options(
    found: tuple[Callable[[_Decorated], _Decorated], ...],
) -> Callable[[_Decorated], _Decorated]:
    """Return a decorator that adds these options in this order."""

    def decorate(function: _Decorated) -> _Decorated:
        for option in reversed(found):
            function = option(function)
        return function

    return decorate
