"""The request of a simulation, and the instances that it compares."""

import msgspec

from coresplit.errors import RunError, UsageError
from coresplit.format import format_cores, format_numbers, listed
from coresplit.planner import Profile, cores_of, lossless, profiles_of
from coresplit.records import Run
from coresplit.stats.lossy import lossy_of
from coresplit.workflows.candidates import Serving, serving_as_told, servings_of
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.serve_request import parse_split


class SimulateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The load, as in a request of ``load``, and the instances to serve it; times in seconds.

    Without ``splits``, all that could be best under some load. ``switch`` is the time until other
    instances take over. ``client`` is the CPU time of a client per request, if it shares the cores
    of the instances; it is part of the latency that the client sees.
    """

    sending: LoadRequest
    splits: tuple[str, ...] = ()
    optimization: str | None = None
    switch: float = 0.0
    client: float = 0.0


class Servings(msgspec.Struct, frozen=True, kw_only=True):
    """The instances to compare, and the number of cores."""

    cores: int
    found: tuple[Serving, ...]


def servings_for(run: Run, request: SimulateRequest) -> Servings:
    """Return the instances to compare; raise UsageError or RunError if the run lacks them."""
    cores = cores_of(run)
    profiles = _profiles(run, request)
    if not request.splits:
        found = servings_of(run, profiles, cores)
        if not found:
            raise RunError(f"run {run.name} has no latency of a single input; measure batch 1 too")
        return Servings(cores=cores, found=tuple(found))
    told = [_as_told(run, text, profiles, cores) for text in request.splits]
    names = [each.name for each in told]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise UsageError(f"split {name} is named twice; name each once")
    return Servings(cores=cores, found=tuple(told))


def _profiles(run: Run, request: SimulateRequest) -> tuple[Profile, ...]:
    """Return the lossless profiles, unless an optimization is named."""
    profiles = profiles_of(run)
    names = list(dict.fromkeys(each.variant.optimization for each in profiles))
    if not names:
        raise RunError(f"run {run.name} has no measured cells; measure it first")
    if request.optimization is None:
        found = lossless(profiles, lossy_of(run))
        if not found:
            raise UsageError(
                f"run {run.name} has lossy optimizations only",
                "name the one to simulate: {option}",
                f"optimization={names[0]}",
            )
        return found
    found = tuple(each for each in profiles if each.variant.optimization == request.optimization)
    if not found:
        raise UsageError(
            f"run {run.name} has nothing of {request.optimization}; it has {listed(names)}"
        )
    return found


def _as_told(run: Run, text: str, profiles: tuple[Profile, ...], cores: int) -> Serving:
    threads = parse_split(text)
    if sum(threads) > cores:
        raise UsageError(
            f"the split {text} needs {sum(threads)} cores, but the run was measured on "
            f"{format_cores(cores)}"
        )
    measured = [each for each in profiles if set(threads) <= set(each.threads)]
    if not measured:
        there = sorted({count for each in profiles for count in each.threads})
        lacking = sorted(set(threads) - set(there)) or sorted(set(threads))
        raise UsageError(
            f"run {run.name} lacks instances of {format_numbers(tuple(lacking))} threads; it has "
            f"those of {format_numbers(tuple(there))}"
        )
    # the same choice as a server makes
    profile = min(measured, key=lambda each: each.cells[min(each.cells)].latency)
    return serving_as_told(run, profile, threads)
