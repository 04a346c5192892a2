"""``coresplit bench``."""

import math
from collections import Counter
from pathlib import Path
from shlex import quote
from typing import Any, get_args

import click

from coresplit import store
from coresplit.analysis.view import RunView
from coresplit.cli.app import DONE, INTERRUPTED, Command
from coresplit.cli.commands.doctor import warnings_of
from coresplit.cli.display import Display, Status
from coresplit.cli.output import print_json, say, tell, warn
from coresplit.cli.telling import advice_of
from coresplit.cli.types import (
    Duration,
    Model,
    Names,
    Numbers,
    RunFolder,
    Share,
    allocators,
    optimizations_or_all,
)
from coresplit.errors import CoresplitError, EnvironmentFault, UsageError
from coresplit.format import format_duration
from coresplit.instance import Interrupt
from coresplit.machine.allocators import usable_allocators
from coresplit.machine.doctor.checks import examine
from coresplit.machine.inspection import inspect
from coresplit.models import is_fake
from coresplit.models.fake import DEFAULT_CORES, DEFAULT_FORMULA
from coresplit.models.sources import needs_trust
from coresplit.records import Inputs, Mapping, Run, Setting
from coresplit.reports.headline import headlines
from coresplit.stats.contention import told
from coresplit.stats.lossy import unchecked_of, unchecked_text
from coresplit.stats.sampling import judged
from coresplit.sweep import Forecast, Outcome
from coresplit.workflows import measuring
from coresplit.workflows.proving import prove_headline
from coresplit.workflows.reporting import build_pages
from coresplit.workflows.request import BenchRequest
from coresplit.workflows.reserving import Cores

_MAPPINGS, _SETTINGS = get_args(Mapping), get_args(Setting)


@click.command(cls=Command)
@click.argument("model", required=False, type=Model())
@click.option(
    "--optimizations",
    type=Names("optimization", optimizations_or_all),
    metavar="LIST",
    help="Optimizations to measure, such as none,openvino, or all.",
)
@click.option(
    "--threads",
    type=Numbers("threads"),
    metavar="LIST",
    help="Intra-op threads, such as 1-16; default all.",
)
@click.option(
    "--batches", type=Numbers("batches"), metavar="LIST", help="Batch sizes; default 1,2,4..1024."
)
@click.option(
    "--budget",
    type=Duration(endless=True),
    metavar="TIME",
    help="Time to measure; default 10m, none measures everything.",
)
@click.option(
    "--precision",
    type=Share(),
    metavar="SHARE",
    help="Half-width of the 95 % interval; default 2%.",
)
@click.option(
    "--mapping",
    type=Names("mapping", lambda: _MAPPINGS, _MAPPINGS),
    metavar="LIST",
    help="Order of the cores: sequential, interleave; default sequential.",
)
@click.option(
    "--allocator",
    type=Names("allocator", allocators),
    metavar="LIST",
    help="Memory allocators: default, glibc_tuned, glibc_huge, tcmalloc, jemalloc.",
)
@click.option(
    "--setting",
    type=Names("setting", lambda: _SETTINGS, _SETTINGS),
    metavar="LIST",
    help="isolated, packed (with copies on all cores).",
)
@click.option(
    "--inputs",
    type=click.Choice(get_args(Inputs)),
    help="hot: always the same input; rotate: different ones. Default hot.",
)
@click.option("--quick", is_flag=True, help="Sweep for about 2 minutes and verify a split.")
@click.option("--input-size", type=int, metavar="N", help="Side of the images in pixels.")
@click.option("--length", type=int, metavar="N", help="Text length in tokens.")
@click.option("--input", multiple=True, metavar="SPEC", help="NAME=3x224x224:float32; repeatable.")
@click.option("--latency", metavar="FORMULA", help="Of the model fake: '1ms + 8ms*b/t'.")
@click.option("--cores", type=click.IntRange(1), metavar="N", help="Of the model fake, default 4.")
@click.option("--trust", is_flag=True, help="Load a model file that can run code.")
@click.option("--weights", metavar="FILE", help="A state dict; default seeded random weights.")
@click.option("--seed", type=int, help="Seed for weights, inputs and cell order; default 0.")
@click.option("--out", type=click.Path(path_type=Path), help="New run folder.")
@click.option("--resume", type=RunFolder(), help="Resume or extend a run.")
@click.option("--wait", is_flag=True, help="Wait while another run measures on these cores.")
@click.option("--no-report", is_flag=True, help="Measure only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(**values: Any) -> int:  # noqa: ANN401 (what click has read)
    """Sweep MODEL over threads x batch x optimization and write the scaling report.

    MODEL is a name from coresplit list, a file (.onnx, .pt2, .pt), package.module:attribute,
    hf:NAME, torchvision:NAME or timm:NAME. The model fake is a formula that needs no library and
    takes no time; use it to try coresplit.
    """
    wait, no_report, as_json = (values.pop(name) for name in ("wait", "no_report", "as_json"))
    request = _request(values)
    with Interrupt() as interrupt, Cores(interrupt, wait=wait, note=say) as cores:
        measured = measure(request, interrupt, cores)
        if request.quick and not measured.outcome.interrupted:
            _prove(request, measured, interrupt, cores)
        run = judged(store.load(measured.path))
        page = None if no_report else _report(run, measured.path)
    _tell(run, measured.outcome, measured.path, page, as_json)
    return INTERRUPTED if measured.outcome.interrupted else DONE


def measure(request: BenchRequest, interrupt: Interrupt, cores: Cores) -> measuring.Measured:
    """Run a sweep and show its progress."""
    session = measuring.prepare(request, interrupt, cores, say)
    if not is_fake(session.model):
        for line in warnings_of(examine(inspect())):
            warn(line)
    say(_outlook(session.forecast(), request.budget_s))
    with Display() as display:
        return session.run(interrupt, display.show)


def _request(values: dict[str, Any]) -> BenchRequest:
    """Build the request from the options; the formula of a fake model goes into its name."""
    latency, cores = values.pop("latency"), values.pop("cores")
    if latency is not None or cores is not None:
        if values["model"] != "fake":
            raise UsageError("--latency and --cores are for the model fake; leave them out")
        values["model"] = f"fake:{latency or DEFAULT_FORMULA}@{cores or DEFAULT_CORES}"
    if values["optimizations"] == ("all",):
        values["optimizations"] = "all"
    return BenchRequest(**values)


def _outlook(found: Forecast, budget_s: float | None) -> str:
    """Return a line that says how many cells the budget covers."""
    if budget_s is None or found.reached == found.cells:
        return f"{found.cells} cells to measure"
    minutes = math.ceil(max(found.whole_s, budget_s) / 60)
    return (
        f"{found.cells} cells to measure: about {found.reached} fit in the budget; "
        f"--budget {minutes}m would fit about all of them"
    )


def _prove(
    request: BenchRequest, measured: measuring.Measured, interrupt: Interrupt, cores: Cores
) -> None:
    """Verify the headline split in the rest of the budget; only warn if that fails."""
    path = quote(str(measured.path))
    try:
        with Status() as status:
            proven = prove_headline(
                measured.path,
                weights=request.weights,
                # a Python model named on this command line has already run
                trust=request.trust or request.model is not None,
                left_s=measured.left_s(request.budget_s),
                interrupt=interrupt,
                cores=cores,
                on_progress=status.show,
            )
    except CoresplitError as error:
        warn(f"the split was not verified: {error}")
        return
    if not proven:
        warn(f"no time was left to verify a split; run: coresplit plan {path} --batch B --verify")


def _report(run: Run, path: Path) -> Path | None:
    say("building the report")
    try:
        return build_pages(run, path / "report")
    except EnvironmentFault as fault:
        warn(f"{fault}; then: coresplit report {quote(str(path))}")
        return None


def _tell(run: Run, outcome: Outcome, path: Path, page: Path | None, as_json: bool) -> None:
    """Print the results and where they are, how the sweep ended, then warnings and advice."""
    cells = Counter(measurement.verdict for measurement in run.measurements)
    view = RunView(run, str(path))
    if as_json:
        print_json(
            {"run": str(path), "report": page and str(page), "cells": cells}
            | {"outputs_not_checked": unchecked_of(run)}
            | {"ended": outcome.reason, "wall_s": outcome.wall_s, "forward_s": outcome.forward_s}
        )
    else:
        for line in headlines(view):
            tell(line)
        tell(f"run     {path}")
        if page is not None:
            tell(f"report  {page}")
        counts = ", ".join(f"{count} {verdict}" for verdict, count in cells.most_common())
        fake = " of fake time" if is_fake(run.model.source) else ""
        say(f"{outcome.reason} after {format_duration(outcome.wall_s)}{fake}: {counts}")
        if outcome.reason != "complete":
            trust = " --trust" if needs_trust(run.model.source) else ""
            say(f"resume with: coresplit bench --resume {quote(str(path))}{trust}")
    for warning in (*run.warnings, told(run), unchecked_text(run)):
        if warning:
            warn(warning)
    for line in advice_of(view, usable_allocators()):
        say(line)
