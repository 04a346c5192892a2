"""Running a planned split on this machine, into the run it was planned from."""

from collections.abc import Callable
from pathlib import Path

from coresplit import store
from coresplit.cli.launching import instance_spec
from coresplit.cli.session import model_info, require_same, spec_again
from coresplit.errors import InstanceError
from coresplit.instance import Interrupt, Member, Process, Ready
from coresplit.machine.cgroups import available_memory
from coresplit.machine.inspection import inspect
from coresplit.machine.neighbours import Neighbours
from coresplit.machine.placement import place_together
from coresplit.machine.reservation import shares_cores
from coresplit.models import ModelSpec
from coresplit.planner import Plan
from coresplit.records import Cell, Inputs, Machine, Run
from coresplit.sweep import disturbed_entry
from coresplit.verify import Verifier


def verify(
    path: Path,
    plan: Plan,
    *,
    weights: str | None,
    trust: bool,
    budget_s: float,
    rounds: int | None = None,
    interrupt: Interrupt,
    on_progress: Callable[[str], None],
) -> None:
    """Run the configurations of ``plan`` and store each round in the run folder ``path``.

    ``weights`` and ``trust`` must be given again where the run needed them. ``rounds`` is the
    fewest that are run whatever the budget says. An interrupt keeps the rounds that are complete.
    Raises MismatchError where the run was measured on another machine, with other libraries or
    another model.
    """
    run, writer = store.reopen(path)
    with writer:
        machine = inspect()
        require_same(run, machine, run.model)
        spec = spec_again(run, weights, trust)
        cores = machine.cores[: machine.usable]
        peaks = {each.cell: each.evidence.peak_memory for each in run.measurements if each.evidence}
        culprit = Neighbours().busiest
        verifier = Verifier(
            plan,
            _starting(plan, spec, machine, run.settings.inputs),
            lambda threads: place_together(cores, threads, plan.variant.mapping),
            writer.log,
            accept=lambda ready: _accept(run, machine, spec, ready),
            available_memory=available_memory,
            peak_memory=lambda threads, batch: peaks.get(_cell(plan, threads, batch), 0),
            budget_s=budget_s,
            rounds=rounds,
            seed=run.settings.seed,
            interrupt=interrupt,
            on_progress=on_progress,
            keep_disturbed=shares_cores(),
            on_disturbed=lambda found: writer.log(disturbed_entry(None, found, culprit)),
        )
        try:
            verifier.run()
        except InstanceError as error:
            if interrupt.requested:
                raise KeyboardInterrupt from error
            raise


def _starting(
    plan: Plan, spec: ModelSpec, machine: Machine, inputs: Inputs
) -> Callable[[tuple[int, ...]], Member]:
    def start(cpus: tuple[int, ...]) -> Member:
        cell = _cell(plan, len(cpus), plan.batch)
        return Process(instance_spec(spec, cell, cpus, cpus, machine, inputs=inputs))

    return start


def _cell(plan: Plan, threads: int, batch: int) -> Cell:
    """The isolated cell of one instance under the conditions of the plan."""
    return Cell(
        optimization=plan.variant.optimization,
        threads=threads,
        batch=batch,
        mapping=plan.variant.mapping,
        allocator=plan.variant.allocator,
    )


def _accept(run: Run, machine: Machine, spec: ModelSpec, ready: Ready) -> None:
    require_same(run, machine, model_info(spec, ready))
