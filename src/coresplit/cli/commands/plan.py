"""``coresplit plan``."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import click
import msgspec

from coresplit import store
from coresplit.cli.app import DONE, INTERRUPTED, NO, Command
from coresplit.cli.commands.bench import measure
from coresplit.cli.display import Status
from coresplit.cli.output import print_json, say, tell, warn
from coresplit.cli.plan_json import document
from coresplit.cli.plan_words import lines_of, table
from coresplit.cli.planning import Answer, Request, additions, again, answers, check, unmeasured
from coresplit.cli.request import Options
from coresplit.cli.reserving import Cores
from coresplit.cli.verifying import verify
from coresplit.instance import Interrupt
from coresplit.machine.inspection import inspect
from coresplit.planner import outcome_of, proof_of
from coresplit.records import Run, Verification
from coresplit.stats.lossy import states_losses
from coresplit.stats.sampling import judged
from coresplit.units import parse_duration

DEFAULT_BUDGET = "2m"


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--batch", type=int, metavar="B", help="Plan one batch; default all of the run.")
@click.option("--cores", type=int, metavar="T", help="Cores to divide; default all of the run.")
@click.option("--optimization", metavar="NAME", help="Default the fastest that is not lossy.")
@click.option("--mapping", metavar="NAME", help="Default the fastest.")
@click.option("--allocator", metavar="NAME", help="Default the fastest.")
@click.option("--setting", metavar="NAME", help="isolated or packed; default packed if measured.")
@click.option("--slo", metavar="TIME", help="The highest throughput within a latency: 100ms.")
@click.option("--interpolate", is_flag=True, help="Also batches between measured ones.")
@click.option("--measure", is_flag=True, help="Measure first what the plan lacks.")
@click.option("--verify", is_flag=True, help="Run the fastest split beside fat and thin.")
@click.option("--budget", metavar="TIME", help="For --measure and --verify each; default 2m.")
@click.option("--weights", metavar="FILE", help="The state dict of the run, to run its model.")
@click.option("--wait", is_flag=True, help="Wait while another run measures on these cores.")
@click.option("--trust", is_flag=True, help="Load a model file that can run code.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(**values: object) -> int:
    """Divide cores and a batch over instances, so that the batch is done soonest.

    Recommends a split only where it is shown to be faster than one instance on all cores.
    Predicted from the run folder RUN, also on another machine and without torch; --verify proves
    it on the machine of the run and exits with 1 if a rival was faster.
    """
    request = msgspec.convert(values, Request)
    check(request)
    with Interrupt() as interrupt, Cores(interrupt, wait=request.wait) as cores:
        run = _load(request.run)
        if request.optimization is None and not states_losses(run):
            warn("the run does not state which optimizations are lossy, so all of them compete")
        if request.measure:
            run = _measured(run, request, interrupt, cores)
        found = answers(run, request)
        if request.verify and not interrupt.requested:
            cores.reserve(inspect())
            _verify(found[0], request, interrupt)
            run = judged(store.load(request.run))
            found = (again(found[0], run),)
        proofs = [proof_of(answer.plan, run.journal) for answer in found]
        _tell(found, proofs, request)
        if interrupt.requested:
            return INTERRUPTED
    proof = proofs[0]
    refuted = proof is not None and outcome_of(proof, found[0].variance).verdict == "refuted"
    return NO if request.verify and refuted else DONE


def _load(path: Path) -> Run:
    run = judged(store.load(path))
    for line in run.warnings:
        warn(line)
    return run


def _measured(run: Run, request: Request, interrupt: Interrupt, cores: Cores) -> Run:
    """The run with what the plan lacked; an interrupt keeps what was measured and plans with it."""
    lacking = additions(run, request)
    if not lacking and not unmeasured(run, request):
        say(f"nothing is lacking for batch {request.batch}")
        return run
    options = Options(
        resume=request.run,
        budget=request.budget or DEFAULT_BUDGET,
        weights=request.weights,
        trust=request.trust,
    )
    measure(msgspec.structs.replace(options, **lacking), interrupt, cores)
    return _load(request.run)


def _verify(answer: Answer, request: Request, interrupt: Interrupt) -> None:
    budget_s = parse_duration(request.budget or DEFAULT_BUDGET)
    with Status() as status:
        verify(
            request.run,
            answer.plan,
            weights=request.weights,
            trust=request.trust,
            budget_s=budget_s,
            interrupt=interrupt,
            on_progress=status.show,
        )
    say(f"kept in the run; shown by: coresplit report {quote(str(request.run))}")


def _tell(found: Sequence[Answer], proofs: Sequence[Verification | None], request: Request) -> None:
    if request.as_json:
        documents = [document(answer, proof) for answer, proof in zip(found, proofs, strict=True)]
        print_json(documents[0] if _single(request) else {"plans": documents})
        return
    lines = lines_of(found[0], proofs[0]) if _single(request) else table(found, proofs)
    for line in lines:
        tell(line)


def _single(request: Request) -> bool:
    return request.batch is not None or request.slo is not None
