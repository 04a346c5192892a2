"""Choose the instances to serve a model: from a matching run, from a short sweep, or as asked."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.errors import EnvironmentFault, RunError, UsageError
from coresplit.format import format_duration
from coresplit.instance import Interrupt
from coresplit.models import ModelSpec, form_of, is_fake
from coresplit.optimizations import usable
from coresplit.planner import (
    Capacity,
    Profile,
    best_capacity,
    capacities_of,
    gains,
    lossless,
    profiles_of,
)
from coresplit.records import Machine, Run, Split, Variant, split_of
from coresplit.stats.lossy import lossy_of
from coresplit.stats.sampling import judged
from coresplit.sweep import Progress
from coresplit.workflows import planning
from coresplit.workflows.candidates import serving_of, unbeaten
from coresplit.workflows.conditions import require_same, spec_again
from coresplit.workflows.finding import is_whole, measured_run, newest_run
from coresplit.workflows.places import machine_for
from coresplit.workflows.request import DEFAULT_OPTIMIZATIONS, Note, spec_of
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest, parse_split
from coresplit.workflows.showing.choice_text import said_of, said_within
from coresplit.workflows.simulating.holding import (
    PERCENTILE,
    Holding,
    holding,
    most_held,
    ratios,
)

MOST_BATCH = 32
"""Largest batch of a split that the user gives without a run."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The instances to serve with, their known latencies, and why they were chosen.

    ``latencies`` are in seconds by <threads, batch>, empty if nothing was measured. Each
    instance takes ``most_rows`` at once, fewer if they would take longer than ``limit_s``
    seconds. ``reasons`` are lines for the user. ``profiles`` are all those that could have been
    chosen.
    """

    spec: ModelSpec
    machine: Machine
    variant: Variant
    split: Split
    most_rows: int
    limit_s: float = math.inf
    latencies: Mapping[tuple[int, int], float] = {}
    reasons: tuple[str, ...]
    profiles: tuple[Profile, ...] = ()


def choose(
    request: ServeRequest,
    interrupt: Interrupt,
    cores: Cores,
    note: Note,
    on_progress: Callable[[Progress], None],
) -> Choice:
    """Find or measure a run of the model on this machine, and choose from it.

    Raises UsageError for an impossible request, and the errors of measuring.
    """
    given = [request.batch is not None, request.slo is not None, request.split is not None]
    if sum(given) > 1:
        raise UsageError("a batch, an SLO and a split exclude each other; give one of them")
    folder = Path(request.target)
    if (folder / "run.json").is_file():
        return _from_run(judged(store.load(folder)), request)
    if request.split is not None:
        return _as_told(request)
    spec = spec_of(request.bench)
    machine = machine_for(spec.name)
    run = newest_run(request, spec, machine)
    if run is None:
        if not request.measure:
            raise UsageError(
                f"there is no run of {request.target} on this machine in {request.runs}",
                "allow measuring, or give a split: {option}",
                "split=2x1",
            )
        run = measured_run(
            request,
            machine.usable,
            interrupt=interrupt,
            cores=cores,
            note=note,
            on_progress=on_progress,
        )
    return _from_run(run, request)


def _as_told(request: ServeRequest) -> Choice:
    spec = spec_of(request.bench)
    machine = machine_for(spec.name)
    threads = fitting(parse_split(str(request.split)), machine)
    variant = Variant(
        request.optimization or DEFAULT_OPTIMIZATIONS[form_of(spec.name)][-1],
        "interleave" if request.mapping == "interleave" else "sequential",
        request.allocator or "default",
    )
    if not is_fake(spec.name) and (missing := usable(variant.optimization)):
        raise EnvironmentFault(missing)
    return Choice(
        spec=spec,
        machine=machine,
        variant=variant,
        split=split_of([(each, MOST_BATCH) for each in threads]),
        most_rows=MOST_BATCH,
        reasons=(f"{request.split} of {variant}, as asked; nothing was measured",),
    )


def fitting(threads: list[int], machine: Machine) -> list[int]:
    """Return ``threads`` if there are enough cores; else raise UsageError."""
    if sum(threads) > machine.usable:
        raise UsageError(
            f"the split needs {sum(threads)} cores, but {machine.usable} are usable here"
        )
    return threads


def _from_run(run: Run, request: ServeRequest) -> Choice:
    if run.machine is None:
        raise RunError(f"run {run.name} was imported from tables, so it cannot be run here")
    machine = machine_for(run.model.source)
    require_same(run, machine, run.model)
    spec = spec_again(run, request.weights, request.trust)
    profiles = _profiles(run, request)
    if request.split is not None:
        return _split_of_run(run, request, spec, machine, profiles)
    if request.batch is not None:
        return _for_batch(run, request, spec, machine)
    capacities = [each for one in profiles for each in capacities_of(one, machine.usable)]
    if not capacities:
        raise UsageError(
            f"run {run.name} has no latency of a single input",
            "measure batch 1 too, or give a split: {option}",
            "split=2x1",
        )
    if request.slo is None:
        found, reasons = _fastest(run, capacities)
    else:
        pairs = {
            each: one
            for one in profiles
            for each in capacities_of(one, machine.usable, request.slo)
        }
        found, reasons = _within(run, request.slo, pairs, min(one.first_s for one in capacities))
    profile = next(each for each in profiles if each.variant == found.variant)
    return Choice(
        spec=spec,
        machine=machine,
        variant=found.variant,
        split=found.split,
        most_rows=max(batch for _, batch in found.split.cells),
        limit_s=math.inf if request.slo is None else request.slo,
        latencies=latencies_of(profile, found.split),
        reasons=reasons,
        profiles=profiles,
    )


def _fastest(run: Run, capacities: list[Capacity]) -> tuple[Capacity, tuple[str, ...]]:
    """Return those with the most throughput among those fast for one request, and the reasons."""
    found = best_capacity(capacities)
    assert found is not None
    rivals = _rivals(found, capacities)
    return found, said_of(run.name, found, list(zip(rivals, gains(found, rivals), strict=True)))


def _within(
    run: Run, slo_s: float, pairs: Mapping[Capacity, Profile], least_s: float
) -> tuple[Capacity, tuple[str, ...]]:
    """Return the instances that hold a latency at the highest request rate, and the reasons."""

    @cache
    def held(capacity: Capacity) -> Holding:
        return holding(serving_of(run, capacity, pairs[capacity]), slo_s)

    best = most_held([held(each) for each, _ in unbeaten(pairs.items())])
    if best is None:
        raise UsageError(
            f"nothing answers within {format_duration(slo_s)} for {PERCENTILE:g} % of requests, "
            f"even at a low rate; the fastest takes {format_duration(least_s)}"
        )
    found = best.serving.capacity
    rivals = _rivals(found, list(pairs))
    compared = list(zip(rivals, ratios(best, list(map(held, rivals))), strict=True))
    reasons = said_within(
        run.name, found, compared, slo_s=slo_s, percentile=PERCENTILE, rate=best.rate
    )
    return found, reasons


def _rivals(found: Capacity, capacities: list[Capacity]) -> list[Capacity]:
    """Return what people use without measuring: the other split, and the plain model on all cores.

    The other split is one instance on all cores, or the best of several if that was chosen.
    """
    threads = max(threads for each in capacities for threads, _ in each.split.cells)
    fat = [each for each in capacities if each.split.cells[0][0] == threads]
    own = [each for each in fat if each.variant == found.variant]
    if found in own:
        own = [each for each in capacities if each.variant == found.variant and each not in own]
    other = max(own, key=lambda each: each.throughput, default=None)
    plain = next((each for each in fat if each.variant.optimization == "none"), None)
    named = [each for each in (other, plain) if each is not None and each is not found]
    return named if other is not plain else named[:1]


def _for_batch(run: Run, request: ServeRequest, spec: ModelSpec, machine: Machine) -> Choice:
    asked = planning.PlanRequest(
        batch=request.batch,
        optimization=request.optimization,
        mapping=request.mapping,
        allocator=request.allocator,
        interpolate=True,
    )
    answer = planning.answers(run, asked)[0]
    split = answer.plan.recommended.split
    predicted = format_duration(answer.plan.recommended.predicted.value)
    return Choice(
        spec=spec,
        machine=machine,
        variant=answer.plan.variant,
        split=split,
        most_rows=max(batch for _, batch in split.cells),
        latencies=latencies_of(answer.profile, split),
        reasons=(
            f"{split}, {answer.plan.variant}",
            f"for batches of {request.batch}: {predicted} predicted from run {run.name}",
            f"compared with one instance on all cores: {answer.plan.verdict}",
        ),
    )


def _split_of_run(
    run: Run,
    request: ServeRequest,
    spec: ModelSpec,
    machine: Machine,
    profiles: tuple[Profile, ...],
) -> Choice:
    threads = fitting(parse_split(str(request.split)), machine)
    measured = [each for each in profiles if set(threads) <= set(each.threads)]
    profile = min(
        measured or profiles,
        key=lambda each: each.cells[min(each.cells)].latency,
    )
    split = split_of([(each, max(profile.batches)) for each in threads])
    return Choice(
        spec=spec,
        machine=machine,
        variant=profile.variant,
        split=split,
        most_rows=max(profile.batches),
        latencies=latencies_of(profile, split),
        reasons=(f"{request.split} of {profile.variant}, as asked",),
        profiles=profiles,
    )


def _profiles(run: Run, request: ServeRequest) -> tuple[Profile, ...]:
    """Return the profiles to choose from: lossless ones, unless an optimization is named."""
    found = tuple(each for each in profiles_of(run) if request.allows(each.variant))
    if request.optimization is None:
        found = lossless(found, lossy_of(run))
    # the splits of incomplete profiles cannot be compared
    found = tuple(each for each in found if is_whole(each, run)) or found
    if not found:
        raise UsageError(f"run {run.name} has no cells that match the request; measure them first")
    return found


def latencies_of(profile: Profile, split: Split) -> dict[tuple[int, int], float]:
    """Return the latencies of the instances of the split while all of them are busy."""
    threads = {threads for threads, _ in split.cells}
    return {
        place: profile.latency_at(place, split.cores).latency
        for place in profile.cells
        if place[0] in threads
    }
