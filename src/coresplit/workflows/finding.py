"""Find the run to serve a model from: the newest that matches, or one measured for it."""

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
from coresplit.planner import Profile, best_capacity, capacities_of, lossless, profiles_of
from coresplit.records import Machine, Run, Variant
from coresplit.stats.lossy import lossy_of
from coresplit.stats.sampling import judged
from coresplit.sweep import Progress
from coresplit.workflows import measuring
from coresplit.workflows.conditions import require_same
from coresplit.workflows.request import Note
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest, quick_optimizations

BATCHES = (1, 4, 16)
"""Batches of a short sweep; those between are interpolated."""
FIRST_SHARE = 0.6
"""Share of the budget to compare optimizations; the best of them gets the rest."""
LEAST_S = 10.0
"""Minimum budget of the second sweep, even if the first took all of the time."""


def newest_run(request: ServeRequest, spec: ModelSpec, machine: Machine) -> Run | None:
    """Return the newest run of the model whose conditions still hold and that has what is asked.

    None if there is none.
    """
    found: list[Run] = []
    for manifest in request.runs.glob("*/run.json"):
        with suppress(CoresplitError):
            run = store.load(manifest.parent)
            if _is_of(run, spec):
                require_same(run, machine, run.model)
                if any(map(request.allows, variants_of(run))):
                    found.append(run)
    found.sort(key=lambda run: run.created_at, reverse=True)
    # judging fits the variance of a run, so judge only until one can be used
    return next((run for run in map(judged, found) if can_choose(run)), None)


def _is_of(run: Run, spec: ModelSpec) -> bool:
    # input names come from the model itself, so compare only shapes and types
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
    """Return the variants that were measured."""
    return {each.cell.variant for each in run.measurements}


def measured_run(
    request: ServeRequest,
    usable: int,
    *,
    interrupt: Interrupt,
    cores: Cores,
    note: Note,
    on_progress: Callable[[Progress], None],
) -> Run:
    """Run a short sweep over optimizations on ``usable`` cores, then of the best over allocators.

    If the time was too short to compare splits of the best one, the second sweep does only that.
    Each sweep has its own run folder; returns the last one that allows a choice. Raises the errors
    of measuring.
    """
    model = request.target
    begun = time.monotonic()
    named = tuple(name for name in (request.optimization,) if name is not None)
    allocators = () if request.allocator is None else (request.allocator,)
    sweep = msgspec.structs.replace(
        request.bench,
        optimizations=named or quick_optimizations(model),
        mapping=None if request.mapping is None else (request.mapping,),
        # other thread counts would leave cores idle
        threads=tuple(each for each in range(1, usable + 1) if usable % each == 0),
        batches=BATCHES,
    )
    others = allocators or (("default",) if is_fake(model) else usable_allocators())
    at_once = named or allocators or len(others) == 1
    note(f"no run of {model} fits this machine; measuring for {format_duration(request.budget)}")
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

    if at_once:
        return measure("", request.budget, allocator=others)
    first = measure("", FIRST_SHARE * request.budget)
    profiles = lossless(profiles_of(first), lossy_of(first))
    best = best_capacity(each for one in profiles for each in capacities_of(one, usable))
    if best is None:
        raise UsageError(
            f"nothing was measured within {format_duration(request.budget)}; give more time"
        )
    name = best.variant.optimization
    if any(each.variant == best.variant and is_whole(each, first) for each in profiles):
        note(f"{name} is the best so far; now measuring allocators: {listed(others)}")
    else:
        note(f"{name} is the best so far; now measuring its missing thread counts")
        others = ("default",)
    left = request.budget - (time.monotonic() - begun)
    second = measure("-best", max(left, LEAST_S), optimizations=(name,), allocator=others)
    return second if can_choose(second) else first


def is_whole(profile: Profile, run: Run) -> bool:
    """True if it has the latency of a single request on the fewest and on the most threads."""
    threads = run.settings.threads
    return all((each, 1) in profile.cells for each in (threads[0], threads[-1]))


def can_choose(run: Run) -> bool:
    """True if the splits of some profile can be compared."""
    return any(is_whole(each, run) for each in profiles_of(run))
