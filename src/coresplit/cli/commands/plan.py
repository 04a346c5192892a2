"""``coresplit plan``."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, get_args

import click
import msgspec

from coresplit import store
from coresplit.cli.app import DONE, INTERRUPTED, NO, Command
from coresplit.cli.commands.bench import measure
from coresplit.cli.display import Status
from coresplit.cli.output import print_json, say, tell, warn
from coresplit.cli.types import Duration, Name, RunFolder, allocators, optimizations
from coresplit.errors import NotMeasured, UsageError
from coresplit.format import format_numbers
from coresplit.instance import Interrupt
from coresplit.models.sources import needs_trust
from coresplit.planner import outcome_of, proof_of
from coresplit.records import Mapping, Run, Setting, Verification
from coresplit.stats.lossy import states_losses
from coresplit.stats.sampling import judged
from coresplit.workflows.planning import (
    Answer,
    PlanRequest,
    additions,
    again,
    answers,
    check,
    unmeasured,
)
from coresplit.workflows.request import BenchRequest
from coresplit.workflows.reserving import Cores
from coresplit.workflows.showing.plan_document import document
from coresplit.workflows.showing.plan_text import lines_of, table
from coresplit.workflows.verifying import DEFAULT_BUDGET_S, verify


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """Options for measuring and verifying, and for the output."""

    run: Path
    measure: bool
    verify: bool
    budget: float | None
    weights: str | None
    trust: bool
    wait: bool
    as_json: bool


@click.command(cls=Command)
@click.argument("run", type=RunFolder())
@click.option("--batch", type=click.IntRange(1), metavar="B", help="Plan one batch; default all.")
@click.option(
    "--cores", type=click.IntRange(1), metavar="T", help="Cores to divide; default all of the run."
)
@click.option(
    "--optimization", type=Name(optimizations), help="Default the fastest that is not lossy."
)
@click.option("--mapping", type=click.Choice(get_args(Mapping)), help="Default the fastest.")
@click.option("--allocator", type=Name(allocators), help="Default the fastest.")
@click.option(
    "--setting", type=click.Choice(get_args(Setting)), help="Default packed if it was measured."
)
@click.option(
    "--slo", type=Duration(), metavar="TIME", help="Highest throughput within a latency: 100ms."
)
@click.option("--interpolate", is_flag=True, help="Also plan batches between measured ones.")
@click.option("--measure", is_flag=True, help="First measure the cells that the plan is missing.")
@click.option("--verify", is_flag=True, help="Run and compare the fastest split, fat and thin.")
@click.option(
    "--budget",
    type=Duration(endless=True),
    metavar="TIME",
    help="Time for --measure and for --verify, each; default 2m.",
)
@click.option("--weights", metavar="FILE", help="State dict of the run, to run its model.")
@click.option("--wait", is_flag=True, help="Wait while another run measures on these cores.")
@click.option("--trust", is_flag=True, help="Load a model file that can run code.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(**values: Any) -> int:  # noqa: ANN401 (what click has read)
    """Plan the fastest way to split cores and a batch across instances.

    Recommends a split only if it is shown to be faster than one instance on all cores. Predicts
    from the run folder RUN, on any machine and without torch. --verify runs the plan on the machine
    of the run and exits with 1 if a rival was faster.
    """
    doing = Doing(**{name: values.pop(name) for name in Doing.__struct_fields__})
    request = PlanRequest(**values)
    check(request)
    _check(doing, request)
    try:
        return _plan(doing, request)
    except NotMeasured as error:
        raise UsageError(error.what, _how_to_measure(error, doing, request)) from error


def _plan(doing: Doing, request: PlanRequest) -> int:
    with (
        Interrupt() as interrupt,
        Cores(interrupt, wait=doing.wait, note=say) as cores,
    ):
        run = _load(doing.run)
        if request.optimization is None and not states_losses(run):
            warn("the run does not state which optimizations are lossy, so all of them compete")
        if doing.measure:
            run = _measured(run, doing, request, interrupt, cores)
        found = answers(run, request)
        if doing.verify and not interrupt.requested:
            _verify(found[0], doing, interrupt, cores)
            run = judged(store.load(doing.run))
            found = (again(found[0], run),)
        proofs = [proof_of(answer.plan, run.journal) for answer in found]
        _tell(run, found, proofs, doing, request)
        if interrupt.requested:
            return INTERRUPTED
    proof = proofs[0]
    refuted = proof is not None and outcome_of(proof, found[0].variance).verdict == "refuted"
    return NO if doing.verify and refuted else DONE


def _check(doing: Doing, request: PlanRequest) -> None:
    """Refuse options that contradict each other."""
    for option in ("verify", "measure"):
        if getattr(doing, option) and request.batch is None:
            raise UsageError(f"--{option} is for one batch; name it with --batch")
    for option in ("budget", "weights", "trust", "wait"):
        if getattr(doing, option) and not (doing.verify or doing.measure):
            raise UsageError(f"--{option} is for --verify and --measure; leave it out")
    if doing.budget == float("inf") and doing.verify:
        raise UsageError("--verify needs a finite budget, such as --budget 2m")


def _how_to_measure(error: NotMeasured, doing: Doing, request: PlanRequest) -> str:
    """Return the remedy with the command to run."""
    if error.additions is None:
        return error.remedy
    remedy = error.remedy.replace("interpolated batches", "interpolated batches (--interpolate)")
    options = "".join(f" --{name} {_typed(values)}" for name, values in error.additions.items())
    also = ", or plan with --measure" if request.batch is not None else ""
    return f"{remedy}: coresplit bench --resume {quote(str(doing.run))}{options}{also}"


def _typed(values: tuple[Any, ...]) -> str:
    return ",".join(values) if isinstance(values[0], str) else format_numbers(values)


def _load(path: Path) -> Run:
    run = judged(store.load(path))
    for line in run.warnings:
        warn(line)
    return run


def _measured(
    run: Run, doing: Doing, request: PlanRequest, interrupt: Interrupt, cores: Cores
) -> Run:
    """Measure what the plan is missing; after an interrupt, plan with what was measured."""
    lacking = additions(run, request)
    if not lacking and not unmeasured(run, request):
        say(f"batch {request.batch} is measured already")
        return run
    sweep = BenchRequest(
        resume=doing.run,
        budget=doing.budget or DEFAULT_BUDGET_S,
        weights=doing.weights,
        trust=doing.trust,
        **lacking,  # type: ignore[arg-type]
    )
    measure(sweep, interrupt, cores)
    return _load(doing.run)


def _verify(answer: Answer, doing: Doing, interrupt: Interrupt, cores: Cores) -> None:
    with Status() as status:
        verify(
            doing.run,
            answer.plan,
            weights=doing.weights,
            trust=doing.trust,
            budget_s=doing.budget or DEFAULT_BUDGET_S,
            interrupt=interrupt,
            cores=cores,
            on_progress=status.show,
        )
    say(f"saved in the run; show it with: coresplit report {quote(str(doing.run))}")


def _tell(
    run: Run,
    found: Sequence[Answer],
    proofs: Sequence[Verification | None],
    doing: Doing,
    request: PlanRequest,
) -> None:
    single = request.batch is not None or request.slo is not None
    if doing.as_json:
        documents = [document(answer, proof) for answer, proof in zip(found, proofs, strict=True)]
        print_json(documents[0] if single else {"plans": documents})
        return
    command = _verifying(run, found[0], doing, request)
    lines = lines_of(found[0], proofs[0], command) if single else table(found, proofs)
    for line in lines:
        tell(line)


def _verifying(run: Run, answer: Answer, doing: Doing, request: PlanRequest) -> str:
    """Return the command that verifies a plan."""
    names = ("optimization", "mapping", "allocator", "setting", "cores")
    named = {name: getattr(request, name) for name in names}
    options = "".join(f" --{name} {value}" for name, value in named.items() if value is not None)
    options += " --interpolate" if request.interpolate else ""
    options += " --trust" if run.machine and needs_trust(run.model.source) else ""
    run_folder = quote(str(doing.run))
    return f"coresplit plan {run_folder} --batch {answer.plan.batch}{options} --verify"
