"""Load a server, compare two, or search for the highest rate within a latency."""

import ipaddress
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack

import msgspec

import coresplit
from coresplit.errors import UsageError
from coresplit.format import number
from coresplit.instance import Interrupt
from coresplit.loading.asked import Load
from coresplit.loading.compare import compare
from coresplit.loading.process.generator import Generator
from coresplit.loading.process.messages import Progress
from coresplit.loading.search import search, trial_of
from coresplit.loading.wire.address import Address, parse_url
from coresplit.machine.listening import server_cpus
from coresplit.records.load import LoadResult, LoadRun, LoadTrial
from coresplit.workflows.loading.request import (
    LoadRequest,
    check,
    load_of,
    requests_of,
    trial_load,
)
from coresplit.workflows.request import Note

_GLANCE_S = 2.0
_LOCAL = {"localhost", ""}


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the generator runs: bound to ``cpus`` if there are any; ``shared`` with the server."""

    cpus: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()


def run_load(
    request: LoadRequest,
    interrupt: Interrupt,
    note: Note,
    on_progress: Callable[[str], None],
) -> LoadResult:
    """Run the request; after Ctrl-C, return what was measured so far.

    ``note`` gets lines worth reading, ``on_progress`` the current activity. Raises UsageError for
    an invalid request, TableError for an invalid trace, EnvironmentFault if a server is not there.
    """
    check(request)
    load = load_of(request)
    places = places_for(request)
    created_at = time.time()
    with ExitStack() as stack:
        generators = []
        for url in request.urls:
            generator = Generator(
                requests_of(request, url), places.cpus, lambda: interrupt.requested
            )
            stack.callback(generator.close)
            generators.append(generator)
            note(f"{url}: {generator.described}")
        work = _Work(request, generators, places, interrupt, on_progress)
        result = LoadResult(
            version=coresplit.__version__,
            created_at=created_at,
            targets=tuple(
                (url, each.described) for url, each in zip(request.urls, generators, strict=True)
            ),
            runs=(),
        )
        if request.kind == "search":
            result = work.search(result)
        elif request.kind == "comparison":
            result = work.compare(result, load)
        else:
            result = msgspec.structs.replace(result, runs=(work.once(0, load, load.asked),))
    return msgspec.structs.replace(result, interrupted=interrupt.requested)


class _Work:
    """Runs loads on the generators, one after the other."""

    def __init__(
        self,
        request: LoadRequest,
        generators: list[Generator],
        places: Places,
        interrupt: Interrupt,
        on_progress: Callable[[str], None],
    ) -> None:
        self._request = request
        self._generators = generators
        self._places = places
        self._interrupt = interrupt
        self._on_progress = on_progress

    def once(self, which: int, load: Load, doing: str) -> LoadRun:
        """Run one load of one server."""

        def tell(now: Progress) -> None:
            failed = f", {now.failed} failed" if now.failed else ""
            self._on_progress(
                f"{doing}: second {now.at + 1}, {now.due} due, {now.answers} answered{failed}, "
                f"{now.open} in flight"
            )

        run = self._generators[which].load(load, tell)
        generator = msgspec.structs.replace(
            run.generator, cpus=self._places.cpus, shared=self._places.shared
        )
        return msgspec.structs.replace(run, generator=generator)

    def compare(self, result: LoadResult, load: Load) -> LoadResult:
        """Run rounds of both servers, in random order in each round."""
        drawn = random.Random(self._request.seed)
        runs: tuple[list[LoadRun], list[LoadRun]] = ([], [])
        for number_of in range(self._request.rounds):
            found: dict[int, LoadRun] = {}
            for which in drawn.sample((0, 1), 2):
                if self._interrupt.requested:
                    break
                doing = f"round {number_of + 1} of {self._request.rounds}, server {which + 1}"
                # both get the same arrivals in a round
                again = msgspec.structs.replace(load, seed=load.seed + number_of)
                found[which] = self.once(which, again, doing)
            if len(found) < 2 or self._interrupt.requested:
                break
            for which, own in enumerate(runs):
                own.append(found[which])
        together = tuple(run for pair in zip(*runs, strict=True) for run in pair)
        return msgspec.structs.replace(result, runs=together, compared=compare(*runs))

    def search(self, result: LoadResult) -> LoadResult:
        """Run trials until the highest rate is known."""
        request = self._request
        runs: list[LoadRun] = []

        def measure(rate: float) -> LoadTrial | None:
            if self._interrupt.requested:
                return None
            load = trial_load(request, rate, len(runs))
            run = self.once(0, load, f"{number(rate)} requests/s")
            if self._interrupt.requested:
                return None
            runs.append(run)
            return trial_of(run, rate, request.percentile)

        assert request.slo is not None
        first = request.rate or self._glance()
        found = search(
            measure,
            first,
            slo=request.slo,
            percentile=request.percentile,
            precision=request.precision,
        )
        return msgspec.structs.replace(result, runs=tuple(runs), search=found)

    def _glance(self) -> float:
        """Return the rate to begin with: the throughput of one client in a closed loop."""
        load = Load(asked="", concurrency=1, duration=_GLANCE_S, timeout=self._request.timeout)
        return max(self.once(0, load, "one client").throughput, 1.0)


def places_for(request: LoadRequest) -> Places:
    """Return CPUs for the generator, apart from those of servers on this machine."""
    mask = frozenset(os.sched_getaffinity(0))
    taken: frozenset[int] = frozenset()
    near = [each for each in map(parse_url, request.urls) if is_near(each)]
    for each in near:
        taken |= server_cpus(each.port, mask)
    if request.cores is not None:
        if beyond := sorted(set(request.cores) - mask):
            raise UsageError(f"core {beyond[0]} cannot be used here; usable are {sorted(mask)}")
        shared = tuple(sorted(taken & set(request.cores)))
        return Places(cpus=request.cores, shared=shared)
    free = sorted(mask - taken)
    if free:
        return Places(cpus=(free[-1],))
    return Places(shared=tuple(sorted(mask)))


def is_near(address: Address) -> bool:
    """True if a server is reached by loopback, and so runs on this machine."""
    if address.host in _LOCAL:
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False
