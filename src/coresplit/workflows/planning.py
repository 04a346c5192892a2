"""Check plan requests and answer them from a run."""

from typing import Any, get_args

import msgspec

from coresplit.errors import NotMeasured, UsageError
from coresplit.format import format_cores, format_duration
from coresplit.machine.allocators import ALLOCATORS
from coresplit.optimizations import OPTIMIZATIONS
from coresplit.planner import (
    Plan,
    Profile,
    cores_of,
    fastest_within,
    interpolated,
    largest_batch,
    lossless,
    nearest_batches,
    profiles_of,
    select,
    settled,
)
from coresplit.records import Mapping, Run, Setting
from coresplit.stats.fitting import variance_of
from coresplit.stats.lossy import lossy_of, unchecked_of
from coresplit.stats.noise import noise_floor
from coresplit.stats.variance import Variance
from coresplit.sweep import cells_of
from coresplit.units import unknown_name

CHOICES = {
    "optimization": tuple(OPTIMIZATIONS),
    "mapping": get_args(Mapping),
    "allocator": tuple(ALLOCATORS),
}
"""Names that a request may use, whether or not a run has them."""


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to plan from a run; None means the default.

    ``slo`` is the longest latency in seconds, for the batch of the highest throughput. Lossy
    optimizations are used only if one is named.
    """

    batch: int | None = None
    cores: int | None = None
    optimization: str | None = None
    mapping: str | None = None
    allocator: str | None = None
    setting: str | None = None
    slo: float | None = None
    interpolate: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the profile it was found in, and facts about its run.

    ``close`` are the plans of other optimizations that are not shown to be slower. ``runnable`` is
    True if the plan can be verified: imported tables name nothing that can be run. ``noise`` is the
    noise floor of the run, for information. ``unchecked`` says why the outputs were not checked;
    empty if they were.
    """

    plan: Plan
    profile: Profile
    variance: Variance
    close: tuple[Plan, ...] = ()
    runnable: bool = False
    noise: float | None = None
    unchecked: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, the run it is for, and the variance of the run."""

    run: Run
    request: PlanRequest
    cores: int
    variance: Variance


def check(request: PlanRequest) -> None:
    """Raise UsageError if the request contradicts itself or is impossible."""
    for name in ("batch", "cores"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} {value} is not positive; the smallest value is 1")
    if request.slo is not None and not request.slo > 0:
        raise UsageError(f"a latency of {request.slo:g} s is not positive; give a longer one")
    if request.slo is not None and request.batch is not None:
        raise UsageError("an SLO finds the best batch itself; leave out the batch or the SLO")
    if request.setting is not None and request.setting not in get_args(Setting):
        raise UsageError(
            f"unknown setting '{request.setting}'; choose {' or '.join(get_args(Setting))}"
        )


def answers(run: Run, request: PlanRequest) -> tuple[Answer, ...]:
    """Return the plan for the requested batch or SLO, or one for every batch of the run.

    Raises UsageError for an impossible request, NotMeasured if the run lacks cells for it.
    """
    check(request)
    cores, variance = _cores(run, request), variance_of(run)
    profiles = _profiles(run, cores, request, variance)
    batches = sorted({batch for profile in profiles for batch in profile.batches})
    if request.interpolate:
        profiles = tuple(interpolated(each, request.batch or batches[-1]) for each in profiles)
    asked = Asked(run=run, request=request, cores=cores, variance=variance)
    if request.slo is not None:
        return (_within(profiles, request.slo, asked),)
    if request.batch is not None:
        return (_for_batch(profiles, request.batch, asked),)
    found = (_best(profiles, batch, asked) for batch in batches)
    return tuple(answer for answer in found if answer is not None)


def again(answer: Answer, run: Run) -> Answer:
    """Return the same answer, updated with the verifications in the run since."""
    variance = variance_of(run)
    plan = settled(answer.plan, run.journal, variance)
    return msgspec.structs.replace(answer, plan=plan, variance=variance)


def additions(run: Run, request: PlanRequest) -> dict[str, tuple[Any, ...]]:
    """Return the fields of a ``BenchRequest`` that add what the plan is missing; may be empty.

    They add a named but unmeasured optimization, mapping, allocator or setting, one thread and all
    cores, and the batch itself.
    """
    settings, cores = run.settings, _cores(run, request)
    named = {
        "optimizations": (request.optimization, settings.optimizations),
        "mapping": (request.mapping, settings.mappings),
        "allocator": (request.allocator, settings.allocators),
        "setting": (request.setting, settings.settings),
    }
    found: dict[str, tuple[Any, ...]] = {
        name: (wanted,)
        for name, (wanted, there) in named.items()
        if wanted is not None and wanted not in there
    }
    if threads := tuple(sorted({1, cores} - set(settings.threads))):
        found["threads"] = threads
    if request.batch is not None and request.batch not in settings.batches:
        found["batches"] = (request.batch,)
    return found


def unmeasured(run: Run, request: PlanRequest) -> bool:
    """True if the grid of the run has a cell of the requested batch that was not reached yet."""
    known = {each.cell for each in run.measurements if each.verdict != "estimated"}
    named = {field: wanted for field in CHOICES if (wanted := getattr(request, field)) is not None}
    return any(
        cell.batch == request.batch and cell not in known
        for cell in cells_of(run.settings)
        if all(getattr(cell, field) == wanted for field, wanted in named.items())
    )


def _lacking(
    asked: "Asked | tuple[Run, PlanRequest]", what: str, remedy: str = "measure it"
) -> NotMeasured:
    """Return the error for a plan whose cells were not measured."""
    run, request = asked if isinstance(asked, tuple) else (asked.run, asked.request)
    if run.machine is None:
        return NotMeasured(what, "import tables that hold it, or bench the model here")
    return NotMeasured(what, remedy, additions(run, request))


def _cores(run: Run, request: PlanRequest) -> int:
    there = cores_of(run)
    if request.cores is not None and request.cores > there:
        raise UsageError(
            f"{request.cores} cores are too many: the run was measured on {format_cores(there)}"
        )
    return request.cores or there


def _profiles(
    run: Run, cores: int, request: PlanRequest, variance: Variance
) -> tuple[Profile, ...]:
    """Return the profiles to choose from: lossless ones, unless an optimization is named."""
    setting = None if request.setting is None else msgspec.convert(request.setting, Setting)
    profiles = profiles_of(run, setting, variance)
    for field, choices in CHOICES.items():
        wanted = getattr(request, field)
        if wanted is not None:
            there = dict.fromkeys(getattr(each.variant, field) for each in profiles)
            if wanted not in there and wanted not in choices:
                raise unknown_name(field, wanted, list(there))
            profiles = tuple(each for each in profiles if getattr(each.variant, field) == wanted)
    fitting = tuple(each for each in profiles if each.threads[0] <= cores)
    if not fitting:
        asked = (request.optimization, request.mapping, request.allocator, request.setting)
        what = " ".join(name for name in asked if name is not None)
        few = f" on {format_cores(cores)}" if profiles else ""
        raise _lacking(
            (run, request),
            f"run {run.name} has no measured cells{what and f' of {what}'}{few}",
            "measure them",
        )
    profiles = fitting
    if request.optimization is not None:
        return profiles
    competing = lossless(profiles, lossy_of(run))
    if not competing:
        raise UsageError(
            f"run {run.name} has lossy optimizations only",
            "name the one to plan with: {option}",
            f"optimization={profiles[0].variant.optimization}",
        )
    return competing


def _for_batch(profiles: tuple[Profile, ...], batch: int, asked: Asked) -> Answer:
    cores, on = asked.cores, format_cores(asked.cores)
    most = max(largest_batch(each.latencies(cores), cores) for each in profiles)
    if batch > most:
        raise _lacking(asked, f"batch {batch} is too large: measured cells reach {most} on {on}")
    answer = _best(profiles, batch, asked)
    if answer is not None:
        return answer
    near = sorted(
        {each for one in profiles for each in nearest_batches(one.latencies(cores), cores, batch)}
    )
    raise _lacking(
        asked,
        f"batch {batch} cannot be built from the measured batch sizes on {on}: the nearest that "
        f"can are {' and '.join(map(str, near))}",
        "plan with interpolated batches, or measure it",
    )


def _within(profiles: tuple[Profile, ...], limit: float, asked: Asked) -> Answer:
    """Return the plan of the batch with the highest throughput within ``limit`` seconds."""
    found = [
        (option, profile)
        for profile in profiles
        if (option := fastest_within(profile, asked.cores, limit)) is not None
    ]
    if not found:
        fastest = min(
            (one.latency_at(place, place[0]).latency, place[1])
            for one in profiles
            for place in one.cells
            if place[0] <= asked.cores
        )
        raise UsageError(
            f"no split finishes within {format_duration(limit)}; the fastest takes "
            f"{format_duration(fastest[0])}, for batch {fastest[1]}"
        )
    option, profile = max(found, key=lambda each: each[0].throughput)
    answer = _best((profile,), option.split.batch, asked)
    assert answer is not None
    plan = msgspec.structs.replace(answer.plan, limit=limit)
    return msgspec.structs.replace(answer, plan=plan)


def _best(profiles: tuple[Profile, ...], batch: int, asked: Asked) -> Answer | None:
    """Return the plan with the fastest predicted recommendation, and its profile; None for none."""
    journal, variance = asked.run.journal, asked.variance
    found = select(profiles, asked.cores, batch, journal=journal, variance=variance)
    if found is None:
        return None
    return Answer(
        plan=found.plan,
        profile=found.profile,
        variance=variance,
        close=found.close,
        runnable=asked.run.machine is not None,
        noise=noise_floor(journal),
        unchecked=unchecked_of(asked.run).get(found.plan.variant.optimization, ""),
    )
