"""``coresplit bench``."""

import math
import time
from collections import Counter
from pathlib import Path
from shlex import quote

import click

from coresplit import store
from coresplit.analysis.view import RunView
from coresplit.cli.app import DONE, INTERRUPTED, Command
from coresplit.cli.commands.doctor import warnings_of
from coresplit.cli.display import Display
from coresplit.cli.output import print_json, say, tell, warn
from coresplit.cli.pages import build_pages
from coresplit.cli.quick import RESERVED, prove_headline
from coresplit.cli.request import (
    Options,
    budget_of,
    extended,
    refuse_other_model,
    refuse_settled,
    settings_of,
    spec_of,
)
from coresplit.cli.reserving import Cores
from coresplit.cli.session import Session
from coresplit.cli.telling import advice_of
from coresplit.errors import EnvironmentFault
from coresplit.format import format_duration
from coresplit.instance import Interrupt
from coresplit.machine.allocators import usable_allocators
from coresplit.machine.doctor.checks import examine
from coresplit.machine.inspection import inspect
from coresplit.models import describe
from coresplit.models.sources import needs_trust
from coresplit.records import Machine, Run, Settings
from coresplit.report.headline import headlines
from coresplit.stats.contention import told
from coresplit.stats.lossy import unchecked_of, unchecked_text
from coresplit.stats.verdict import judged
from coresplit.sweep import Forecast, Outcome

UNLIMITED_PROOF_S = 60.0
"""For the proof of a quick run without a budget."""


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--optimizations", metavar="LIST", help="Such as none,openvino, or all.")
@click.option("--threads", metavar="LIST", help="Intra-op threads, such as 1-16; default all.")
@click.option("--batches", metavar="LIST", help="Batch sizes; default 1,2,4..1024.")
@click.option("--budget", metavar="TIME", help="Default 10m; none measures everything.")
@click.option("--precision", metavar="SHARE", help="Half-width of the 95 % interval; default 2%.")
@click.option("--mapping", metavar="LIST", help="sequential, interleave; default sequential.")
@click.option("--allocator", metavar="LIST", help="default, glibc_tuned, tcmalloc, jemalloc.")
@click.option("--setting", metavar="LIST", help="isolated, packed (copies on all cores).")
@click.option("--inputs", metavar="NAME", help="hot (always the same) or rotate; default hot.")
@click.option("--quick", is_flag=True, help="About 2 minutes, ends with a verified split.")
@click.option("--input-size", type=int, metavar="N", help="Side of the images in pixels.")
@click.option("--length", type=int, metavar="N", help="Length of the texts in tokens.")
@click.option("--input", multiple=True, metavar="SPEC", help="NAME=3x224x224:float32; repeatable.")
@click.option("--trust", is_flag=True, help="Load a model file that can run code.")
@click.option("--weights", metavar="FILE", help="A state dict; default seeded random weights.")
@click.option("--seed", type=int, help="Of weights, inputs and the order of cells; default 0.")
@click.option("--out", type=click.Path(path_type=Path), help="New run folder.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with a run, or add to it.")
@click.option("--wait", is_flag=True, help="Wait while another run measures on these cores.")
@click.option("--no-report", is_flag=True, help="Only measure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(**values: object) -> int:
    """Sweep MODEL over threads x batch x optimization, and write the scaling report.

    MODEL is a name from coresplit list, a file (.onnx, .pt2, .pt), package.module:attribute,
    hf:NAME, torchvision:NAME or timm:NAME.
    """
    options = Options(**values)  # type: ignore[arg-type]
    with Interrupt() as interrupt, Cores(interrupt, wait=options.wait) as cores:
        path, outcome = measure(options, interrupt, cores)
        if options.quick and not outcome.interrupted:
            _prove(options, path, cores.reserved_at, interrupt)
        run = judged(store.load(path))
        page = None if options.no_report else _report(run, path)
    _tell(run, outcome, path, page, options.as_json)
    return INTERRUPTED if outcome.interrupted else DONE


def measure(options: Options, interrupt: Interrupt, cores: Cores) -> tuple[Path, Outcome]:
    """Run the sweep that the options ask for; the run folder it went to, and how it ended.

    The budget begins when the cores are free.
    """
    begun = time.monotonic()
    session = _session(options, interrupt, cores)
    begun = max(begun, cores.reserved_at)
    for line in warnings_of(examine(inspect())):
        warn(line)
    reserved = RESERVED * (budget_of(options) or 0.0) if options.quick else 0.0
    say(_foretold(session.forecast(reserved), budget_of(options)))
    with Display() as display:
        return session.path, session.run(begun, display.show, reserved)


def _foretold(found: Forecast, budget_s: float | None) -> str:
    """How far the budget will reach, said before it is spent."""
    if budget_s is None or found.reached == found.cells:
        return f"{found.cells} cells to measure"
    minutes = math.ceil(max(found.whole_s, budget_s) / 60)
    return (
        f"{found.cells} cells to measure: about {found.reached} fit in the budget; "
        f"--budget {minutes}m would fit about all of them"
    )


def _prove(options: Options, path: Path, begun: float, interrupt: Interrupt) -> None:
    """Verify the headline split in what is left of the budget of a quick run."""
    budget_s = budget_of(options)
    left_s = UNLIMITED_PROOF_S if budget_s is None else budget_s - (time.monotonic() - begun)
    prove_headline(
        path,
        weights=options.weights,
        # a Python model that this command names was run already
        trust=options.trust or options.model is not None,
        left_s=left_s,
        interrupt=interrupt,
    )


def _session(options: Options, interrupt: Interrupt, cores: Cores) -> Session:
    if options.resume is not None:
        refuse_settled(options)
        if options.model is not None:
            refuse_other_model(store.load(options.resume), options)

        def extend(run: Run, machine: Machine) -> Settings:
            wider = extended(run, options, machine)
            cores.reserve(machine)
            return wider

        return Session.resumed(
            options.resume,
            weights=options.weights,
            trust=options.trust,
            budget_s=budget_of(options),
            interrupt=interrupt,
            extend=extend,
        )
    spec = spec_of(options)
    machine = inspect()
    settings = settings_of(options, machine)
    cores.reserve(machine)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = options.out or Path("runs") / f"{describe(spec.name)[0]}-{stamp}"
    return Session.fresh(spec, settings, machine, path, interrupt)


def _report(run: Run, path: Path) -> Path | None:
    say("building the report")
    try:
        return build_pages(run, path / "report")
    except EnvironmentFault as fault:
        warn(f"{fault}; then: coresplit report {quote(str(path))}")
        return None


def _tell(run: Run, outcome: Outcome, path: Path, page: Path | None, as_json: bool) -> None:
    """What was found and where it is, then how it went, then what may be done about it."""
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
        say(f"{outcome.reason} after {format_duration(outcome.wall_s)}: {counts}")
        if outcome.reason != "complete":
            trust = " --trust" if needs_trust(run.model.source) else ""
            say(f"go on with: coresplit bench --resume {quote(str(path))}{trust}")
    for warning in (*run.warnings, told(run), unchecked_text(run)):
        if warning:
            warn(warning)
    for line in advice_of(view, usable_allocators()):
        say(line)
