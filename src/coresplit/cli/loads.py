"""Options that say which requests come when: the same of a load and of its simulation."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coresplit.cli.types import Duration, Share

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_POSITIVE = click.FloatRange(0, 1e6, min_open=True)
_ARRIVALS = ("poisson", "constant")

SENDING = (
    click.option("--concurrency", type=click.IntRange(1, 10_000), metavar="N",
                 help="Closed loop: N clients that wait for their answers. Default 1."),
    click.option("--think", type=Duration(), metavar="TIME",
                 help="Pause of a client after an answer."),
    click.option("--rate", type=_POSITIVE, metavar="R", help="Open loop: R requests per second."),
    click.option("--arrivals", type=click.Choice(_ARRIVALS), default="poisson", show_default=True,
                 help="How an open loop spaces requests."),
    click.option("--shape", metavar="SHAPE",
                 help="A rate over time: step:5,50@30s, ramp:5..50@60s, spike:5..50@10s/60s, "
                 "diurnal:5..50@10m; joined by +."),
    click.option("--trace", type=click.Path(), metavar="FILE",
                 help="Requests at given times: a line each, seconds and maybe rows."),
)  # fmt: skip
"""When requests come."""

SEARCHING = (
    click.option("--slo", type=Duration(), metavar="TIME",
                 help="Search the highest rate within a latency: 100ms."),
    click.option("--percentile", type=click.FloatRange(1, 99.999), default=99.0, show_default=True,
                 metavar="P", help="Which one has to hold it."),
    click.option("--precision", type=Share(), default="5%", show_default=True, metavar="SHARE",
                 help="How close the search gets."),
)  # fmt: skip
"""A search for the highest rate."""

ROWS = click.option("--rows", type=click.IntRange(1, 1 << 20), default=1, show_default=True,
                    metavar="N", help="Rows of a request of v2.")  # fmt: skip


def options(
    found: tuple[Callable[[_Decorated], _Decorated], ...],
) -> Callable[[_Decorated], _Decorated]:
    """All of them, in this order."""

    def decorate(function: _Decorated) -> _Decorated:
        for option in reversed(found):
            function = option(function)
        return function

    return decorate
