"""The run to serve a model from: the newest that fits, or one that is measured for it."""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from coresplit import store
from coresplit.errors import CoresplitError, UsageError
from coresplit.format import format_duration, listed
from coresplit.instance import Interrupt
from coresplit.machine.allocators import usable_allocators
from coresplit.models import ModelSpec, describe, is_fake
from coresplit.planner import best_capacity, capacities_of, lossless, profiles_of
from coresplit.records import Machine, Run, Variant
from coresplit.stats.lossy import lossy_of
from coresplit.stats.sampling import judged
from coresplit.sweep import Progress
from coresplit.workflows import measuring
from coresplit.workflows.conditions import require_same
from coresplit.workflows.request import Note
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest, quick_optimizations

MOST_BATCH = 32
"""Largest batch of a short sweep."""
FIRST_SHARE = 0.6
"""Of the budget, for optimizations; allocators of the best one have the rest."""


def newest_run(request: ServeRequest, spec: ModelSpec, machine: Machine) -> Run | None:
    """The newest run of the model that was measured under today's conditions and has what is asked.

    None without one.
    """
    found: list[Run] = []
    for manifest in request.runs.glob("*/run.json"):
        with suppress(CoresplitError):
            run = store.load(manifest.parent)
            if _is_of(run, spec):
                require_same(run, machine, run.model)
                if any(map(request.allows, variants_of(run))):
                    found.append(run)
    newest = max(found, key=lambda run: run.created_at, default=None)
    return None if newest is None else judged(newest)


def _is_of(run: Run, spec: ModelSpec) -> bool:
    # names are those of the model itself, whatever they were called
    asked, inputs = (
        [(one.shape, one.dtype) for one in each] for each in (spec.inputs, run.model.inputs)
    )
    return (
        run.model.source == spec.name
        and run.settings.seed == spec.seed
        and asked in ([], inputs)
        and spec.size in (None, run.model.inputs[0].shape[-1])
    )


def variants_of(run: Run) -> set[Variant]:
    """What was measured."""
    return {each.cell.variant for each in run.measurements}


def measured_run(
    request: ServeRequest,
    *,
    interrupt: Interrupt,
    cores: Cores,
    note: Note,
    on_progress: Callable[[Progress], None],
) -> Run:
    """A short sweep over optimizations, then one over the allocators of the best of them.

    Both are run folders; the last one is given. Raises the errors of measuring.
    """
    model = request.target
    begun = time.monotonic()
    named = tuple(name for name in (request.optimization,) if name is not None)
    allocators = () if request.allocator is None else (request.allocator,)
    sweep = msgspec.structs.replace(
        request.bench,
        optimizations=named or quick_optimizations(model),
        mapping=None if request.mapping is None else (request.mapping,),
        batches=tuple(2**power for power in range(MOST_BATCH.bit_length())),
    )
    others = allocators or (("default",) if is_fake(model) else usable_allocators())
    stages = named or allocators or len(others) == 1
    note(f"no run of {model} fits this machine: measuring for {format_duration(request.budget)}")
    path = request.runs / f"{describe(model)[0]}-{time.strftime('%Y%m%d-%H%M%S')}"

    def measure(suffix: str, budget: float, **fields: tuple[str, ...]) -> Run:
        whole = msgspec.structs.replace(
            sweep, budget=budget, out=path.with_name(path.name + suffix), **fields
        )
        session = measuring.prepare(whole, interrupt, cores, note)
        found = session.run(interrupt, on_progress)
        if found.outcome.interrupted:
            raise KeyboardInterrupt
        return judged(store.load(found.path))

    if stages:
        return measure("", request.budget, allocator=others)
    first = measure("", FIRST_SHARE * request.budget)
    best = best_capacity(
        capacity
        for profile in lossless(profiles_of(first), lossy_of(first))
        for capacity in capacities_of(profile, first.settings.threads[-1])
    )
    if best is None:
        raise UsageError(
            f"nothing was measured within {format_duration(request.budget)}; give more time"
        )
    left = request.budget - (time.monotonic() - begun)
    note(f"{best.variant.optimization} is fastest so far; now allocators: {listed(others)}")
    return measure(
        "-allocators", left, optimizations=(best.variant.optimization,), allocator=others
    )
