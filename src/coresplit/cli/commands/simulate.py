"""``coresplit simulate``."""

from pathlib import Path
from typing import Any

import click
import msgspec

from coresplit import store
from coresplit.cli.app import DONE, NO, Command
from coresplit.cli.display import Status
from coresplit.cli.loads import ROWS, SEARCHING, SENDING, options
from coresplit.cli.output import print_json, tell, warn
from coresplit.cli.types import Duration, Name, RunFolder, optimizations
from coresplit.stats.sampling import judged
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.simulating.request import SimulateRequest
from coresplit.workflows.simulating.run import simulate_load
from coresplit.workflows.simulating.text import lines_of, warnings_of


@click.command(cls=Command)
@click.argument("run", type=RunFolder())
@click.option("--split", "splits", multiple=True, metavar="SPLIT",
              help="Instances x threads: 2x1, 1x8+4x2; repeatable. Default all that could be "
              "best under some load.")  # fmt: skip
@click.option("--optimization", type=Name(optimizations), help="Default all lossless ones.")
@options(SENDING)
@click.option("--duration", type=Duration(), metavar="TIME",
              help="Default 30s; 10s a trial of a search.")  # fmt: skip
@ROWS
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="For arrivals and noise.")  # fmt: skip
@options(SEARCHING)
@click.option("--rounds", type=click.IntRange(3, 1000), default=10, show_default=True, metavar="N",
              help="Replays of each split, with other arrivals.")  # fmt: skip
@click.option("--switch", type=Duration(), metavar="TIME",
              help="Time until other instances take over; default 0, they wait warm.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(run: Path, **values: Any) -> int:  # noqa: ANN401 (what click has read)
    """Replay a load on instances that RUN has measured and print which serve it best.

    Simulates serve with the latencies of the run, on any machine: with each set of instances all
    the time, with the controller that switches between them, and with the rule of Packrat. With
    --slo it finds the highest rate of each; the exit code is 1 if no rate meets the latency.
    """
    as_json = values.pop("as_json")
    asked = {name: values.pop(name) for name in ("splits", "optimization", "switch")}
    asked["switch"] = asked["switch"] or 0.0
    request = SimulateRequest(sending=LoadRequest(urls=(), **values), **asked)
    measured = judged(store.load(run))
    for line in measured.warnings:
        warn(line)
    with Status() as status:
        found = simulate_load(measured, request, status.show)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        for line in lines_of(found):
            tell(line)
    for line in warnings_of(found):
        warn(line)
    held = not found.held or any(each.search.low is not None for each in found.held)
    return DONE if held else NO
