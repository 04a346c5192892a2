"""What ``plan`` was asked, checked, and answered from a run; every refusal is one line."""

from pathlib import Path
from shlex import quote
from typing import get_args

import msgspec

from coresplit.cli.request import Options, budget_of
from coresplit.errors import UsageError
from coresplit.format import format_cores, format_duration, format_numbers
from coresplit.machine.allocators import ALLOCATORS
from coresplit.optimizations import OPTIMIZATIONS
from coresplit.planner import (
    Plan,
    Profile,
    best_plan,
    cores_of,
    fastest_within,
    interpolated,
    largest_batch,
    nearest_batches,
    profiles_of,
    settled,
)
from coresplit.records import Mapping, Run, Setting
from coresplit.stats.fitting import variance_of
from coresplit.stats.lossy import lossy_of, unchecked_of
from coresplit.stats.noise import noise_floor
from coresplit.stats.variance import Variance
from coresplit.sweep import cells_of
from coresplit.units import parse_duration, unknown_name

CHOICES = {
    "optimization": tuple(OPTIMIZATIONS),
    "mapping": get_args(Mapping),
    "allocator": tuple(ALLOCATORS),
}
"""What may be named of cells, whether a run has it or not."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The command line as typed; None where the user said nothing."""

    run: Path
    batch: int | None = None
    cores: int | None = None
    optimization: str | None = None
    mapping: str | None = None
    allocator: str | None = None
    setting: str | None = None
    slo: str | None = None
    interpolate: bool = False
    verify: bool = False
    measure: bool = False
    budget: str | None = None
    weights: str | None = None
    trust: bool = False
    wait: bool = False
    as_json: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the profile it was found in, and what its run says beside.

    ``close`` are the plans of other optimizations that are not shown to be slower. ``command``
    verifies the plan; None where the run cannot be run here. ``noise`` is the noise floor of the
    run, for information. ``unchecked`` says why the outputs were not checked; empty if they were.
    """

    plan: Plan
    profile: Profile
    variance: Variance
    close: tuple[Plan, ...] = ()
    command: str | None = None
    noise: float | None = None
    unchecked: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of which run, with its variance."""

    run: Run
    request: Request
    cores: int
    variance: Variance


def check(request: Request) -> None:
    """Refuse options that contradict each other or cannot be; raises UsageError."""
    for name in ("batch", "cores"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value} is not positive; the smallest value is 1")
    if request.slo is not None and request.batch is not None:
        raise UsageError("--slo looks for the best batch itself; leave out --batch, or --slo")
    for option in ("verify", "measure"):
        if getattr(request, option) and request.batch is None:
            raise UsageError(f"--{option} is for one batch; name it with --batch")
    for option in ("budget", "weights", "trust", "wait"):
        if getattr(request, option) and not (request.verify or request.measure):
            raise UsageError(f"--{option} is for --verify and --measure; leave it out")
    if request.budget is not None:
        if request.budget == "none" and request.verify:
            raise UsageError("--verify ends with its budget; give it one: --budget 2m")
        budget_of(Options(budget=request.budget))
    if request.setting is not None and request.setting not in get_args(Setting):
        raise UsageError(
            f"unknown setting '{request.setting}'; choose {' or '.join(get_args(Setting))}"
        )


def answers(run: Run, request: Request) -> tuple[Answer, ...]:
    """The plan for the batch or the objective asked, or one for every batch of the run."""
    cores, variance = _cores(run, request), variance_of(run)
    profiles = _profiles(run, cores, request, variance)
    batches = sorted({batch for profile in profiles for batch in profile.batches})
    if request.interpolate:
        profiles = tuple(interpolated(each, request.batch or batches[-1]) for each in profiles)
    asked = Asked(run=run, request=request, cores=cores, variance=variance)
    if request.slo is not None:
        return (_within(profiles, parse_duration(request.slo), asked),)
    if request.batch is not None:
        return (_for_batch(profiles, request.batch, asked),)
    found = (_best(profiles, batch, asked) for batch in batches)
    return tuple(answer for answer in found if answer is not None)


def again(answer: Answer, run: Run) -> Answer:
    """The same answer with what has been verified in the run since."""
    variance = variance_of(run)
    plan = settled(answer.plan, run.journal, variance)
    return msgspec.structs.replace(answer, plan=plan, variance=variance)


def additions(run: Run, request: Request) -> dict[str, str]:
    """Options of ``bench`` and their values that add what the plan asked for lacks; maybe none.

    It lacks an optimization, mapping, allocator or setting that was named and not measured, one
    thread and all, and the batch itself.
    """
    settings, cores = run.settings, _cores(run, request)
    named = {
        "optimizations": (request.optimization, settings.optimizations),
        "mapping": (request.mapping, settings.mappings),
        "allocator": (request.allocator, settings.allocators),
        "setting": (request.setting, settings.settings),
    }
    found = {
        option: wanted
        for option, (wanted, there) in named.items()
        if wanted is not None and wanted not in there
    }
    threads = tuple(sorted({1, cores} - set(settings.threads)))
    if threads:
        found["threads"] = format_numbers(threads)
    if request.batch is not None and request.batch not in settings.batches:
        found["batches"] = str(request.batch)
    return found


def unmeasured(run: Run, request: Request) -> bool:
    """Whether the grid of the run has a cell of the batch asked for that was not reached yet."""
    known = {each.cell for each in run.measurements if each.verdict != "estimated"}
    named = {field: wanted for field in CHOICES if (wanted := getattr(request, field)) is not None}
    return any(
        cell.batch == request.batch and cell not in known
        for cell in cells_of(run.settings)
        if all(getattr(cell, field) == wanted for field, wanted in named.items())
    )


def remedy(run: Run, request: Request) -> str:
    """The command that measures what is lacking; tables that were imported can only be replaced."""
    if run.machine is None:
        return "import tables that hold it, or bench the model here"
    options = "".join(f" --{name} {value}" for name, value in additions(run, request).items())
    also = ", or plan with --measure" if request.batch is not None else ""
    return f"coresplit bench --resume {quote(str(request.run))}{options}{also}"


def _cores(run: Run, request: Request) -> int:
    there = cores_of(run)
    if request.cores is not None and request.cores > there:
        raise UsageError(
            f"--cores {request.cores} is beyond the run, which was measured on {there} cores"
        )
    return request.cores or there


def _profiles(run: Run, cores: int, request: Request, variance: Variance) -> tuple[Profile, ...]:
    """The profiles that may be chosen from: none that are lossy, unless one is named."""
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
        raise UsageError(
            f"run {request.run} has no measured cells{what and f' of {what}'}{few}; "
            f"measure them: {remedy(run, request)}"
        )
    profiles = fitting
    if request.optimization is not None:
        return profiles
    lossy = lossy_of(run)
    lossless = tuple(each for each in profiles if each.variant.optimization not in lossy)
    if not lossless:
        raise UsageError(
            f"run {request.run} has lossy optimizations only; name the one to plan with: "
            f"--optimization {profiles[0].variant.optimization}"
        )
    return lossless


def _for_batch(profiles: tuple[Profile, ...], batch: int, asked: Asked) -> Answer:
    cores, on = asked.cores, format_cores(asked.cores)
    measuring = remedy(asked.run, asked.request)
    most = max(largest_batch(each.latencies(cores), cores) for each in profiles)
    if batch > most:
        raise UsageError(
            f"--batch {batch} is beyond the run, whose cells make up {most} on {on} at most; "
            f"measure it: {measuring}"
        )
    answer = _best(profiles, batch, asked)
    if answer is not None:
        return answer
    near = sorted(
        {each for one in profiles for each in nearest_batches(one.latencies(cores), cores, batch)}
    )
    raise UsageError(
        f"--batch {batch} is not a sum of measured batches on {on}; the nearest that are: "
        f"{' and '.join(map(str, sorted(near)))}; or add --interpolate, or measure it: {measuring}"
    )


def _within(profiles: tuple[Profile, ...], limit: float, asked: Asked) -> Answer:
    """The plan of the batch with the highest throughput in time, which is what it recommends."""
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
            f"no split is done within {format_duration(limit)}; the fastest takes "
            f"{format_duration(fastest[0])}, for batch {fastest[1]}"
        )
    option, profile = max(found, key=lambda each: each[0].throughput)
    answer = _best((profile,), option.split.batch, asked)
    assert answer is not None
    plan = msgspec.structs.replace(answer.plan, limit=limit)
    return msgspec.structs.replace(answer, plan=plan)


def _best(profiles: tuple[Profile, ...], batch: int, asked: Asked) -> Answer | None:
    """The plan whose recommendation is predicted fastest over the profiles, with its profile."""
    journal, variance = asked.run.journal, asked.variance
    found = best_plan(profiles, asked.cores, batch, lambda made: settled(made, journal, variance))
    if found is None:
        return None
    return Answer(
        plan=found.plan,
        profile=found.profile,
        variance=variance,
        close=found.close,
        command=_command(found.plan, asked),
        noise=noise_floor(journal),
        unchecked=unchecked_of(asked.run).get(found.plan.variant.optimization, ""),
    )


def _command(plan: Plan, asked: Asked) -> str | None:
    """The command that verifies a plan; None for tables, of which nothing can be run."""
    if asked.run.machine is None:
        return None
    named = {field: getattr(asked.request, field) for field in (*CHOICES, "setting", "cores")}
    options = "".join(f" --{name} {value}" for name, value in named.items() if value is not None)
    options += " --interpolate" if asked.request.interpolate else ""
    return f"coresplit plan {quote(str(asked.request.run))} --batch {plan.batch}{options} --verify"
