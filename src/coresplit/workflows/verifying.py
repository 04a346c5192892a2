"""Run a planned split on the machine of its run, and store it in the folder of the run."""

from collections.abc import Callable
from pathlib import Path

from coresplit import store
from coresplit.errors import InstanceError
from coresplit.instance import Interrupt
from coresplit.machine.reservation import shares_cores
from coresplit.planner import Plan
from coresplit.records import Cell
from coresplit.verifier import Verifier
from coresplit.workflows.conditions import model_info, require_same, spec_again
from coresplit.workflows.places import host_for, machine_for
from coresplit.workflows.reserving import Cores

DEFAULT_BUDGET_S = 120.0


def verify(
    path: Path,
    plan: Plan,
    *,
    weights: str | None,
    trust: bool,
    budget_s: float = DEFAULT_BUDGET_S,
    rounds: int | None = None,
    interrupt: Interrupt,
    cores: Cores,
    on_progress: Callable[[str], None] = lambda doing: None,
) -> None:
    """Run the configurations of ``plan`` and store each round in the run folder ``path``.

    ``weights`` and ``trust`` must be given again if the run needed them. ``rounds`` is the
    minimum, whatever the budget. An interrupt keeps the complete rounds. Raises MismatchError if
    the run was measured on another machine, with other libraries or another model.
    """
    run, writer = store.reopen(path)
    with writer:
        machine = machine_for(run.model.source)
        require_same(run, machine, run.model)
        spec = spec_again(run, weights, trust)
        cores.reserve(spec.name, machine)
        peaks = {each.cell: each.evidence.peak_memory for each in run.measurements if each.evidence}
        verifier = Verifier(
            plan,
            host_for(spec, machine, run.settings.inputs),
            writer.log,
            accept=lambda ready: require_same(run, machine, model_info(spec, ready)),
            peak_memory=lambda threads, batch: peaks.get(_cell(plan, threads, batch), 0),
            budget_s=budget_s,
            rounds=rounds,
            seed=run.settings.seed,
            keep_disturbed=shares_cores(),
            interrupt=interrupt,
            on_progress=on_progress,
        )
        try:
            verifier.run()
        except InstanceError as error:
            if interrupt.requested:
                raise KeyboardInterrupt from error
            raise


def _cell(plan: Plan, threads: int, batch: int) -> Cell:
    """Return the isolated cell of one instance under the conditions of the plan."""
    variant = plan.variant
    return Cell(
        optimization=variant.optimization,
        threads=threads,
        batch=batch,
        mapping=variant.mapping,
        allocator=variant.allocator,
    )
