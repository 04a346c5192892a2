"""Serve the chosen instances on this machine."""

import math
import ssl
from collections.abc import Callable, Mapping
from functools import partial

from coresplit.errors import EnvironmentFault
from coresplit.format import format_duration, format_size
from coresplit.instance import (
    Arena,
    FakeServing,
    HandedOver,
    LocalHost,
    Process,
    Serve,
    ServingInstance,
)
from coresplit.machine.cgroups import available_memory
from coresplit.models import form_of, is_fake, parse_fake
from coresplit.optimizations import require_applicable, usable
from coresplit.planner import Profile
from coresplit.records import Split, Variant, split_of
from coresplit.serving.adapting.controller import Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.dividing import Latencies
from coresplit.serving.run import ServerSettings, serve
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching.changing import Changing
from coresplit.workflows.candidates import candidate_of, frontier, short
from coresplit.workflows.choosing import MOST_BATCH, Choice, fitting, latencies_of
from coresplit.workflows.serve_request import parse_split

QUIET_S = 5.0
"""Longest time that an instance in preparation gives way to those that serve."""


def run_server(
    choice: Choice,
    *,
    name: str,
    host: str,
    port: int,
    arena_bytes: int,
    most_requests: int,
    batch_timeout_s: float,
    timeout_s: float | None,
    grace_s: float,
    token: str,
    tls: ssl.SSLContext | None,
    manage: int | None,
    adapt: bool,
    slo_s: float | None,
    resident_bytes: int | None,
    on_manage: Callable[[int], None],
    on_ready: Callable[[int], None],
) -> bool:
    """Serve until a signal; True if everything accepted was answered. See ``serving.run.serve``.

    ``manage`` is the port for changing the instances, None for none; ``on_manage`` gets the actual
    port. With ``adapt`` the instances follow the load, among the profiles of the choice; ``slo_s``
    is then the latency to hold, None for the lowest.
    """
    free = available_memory()
    if arena_bytes > free:
        raise EnvironmentFault(
            f"requests are given {format_size(arena_bytes)}, but only "
            f"{format_size(free)} of memory are free"
        )
    local = LocalHost(choice.spec, choice.machine, "hot")
    model = parse_fake(choice.spec.name) if is_fake(choice.spec.name) else None
    offers = Offers(choice, local)
    handovers = Handovers()

    def start(place: Place, quietly: bool, arena: Arena) -> ServingInstance:
        served = Serve(
            batches=offers.batches(place),
            arena_size=arena.size,
            quiet_s=QUIET_S if quietly else 0.0,
            handover=handovers.of(place.optimization),
        )
        variant = Variant(place.optimization, choice.variant.mapping, place.allocator)
        spec = local.spec_on(variant, place.cpus, served)
        if model is None:
            return Process(
                spec,
                arena,
                lambda ready: handovers.keep(variant.optimization, served.handover, ready.handover),
            )
        # a formula serves too, in real time: each output is the first bytes of its row
        latency = partial(model.latency, place.optimization, spec.threads)
        return FakeServing(spec, arena, latency)

    changing = None
    if manage is not None or adapt:
        known = offers.known()
        changing = Changing(
            offer=offers.offer,
            known=tuple(one for one, _ in known),
            candidates={one.name: candidate for one, candidate in known} if adapt else {},
            rules=Rules(slo_s=slo_s, cores={one.name: one.cores for one, _ in known}),
            most_bytes=resident_bytes,
            available=available_memory,
            port=manage,
            on_ready=on_manage,
        )
    return serve(
        ServerSettings(
            name=name,
            host=host,
            port=port,
            arena_bytes=arena_bytes,
            free_bytes=free,
            grace_s=grace_s,
            timeout_s=timeout_s or math.inf,
            token=token,
            engine=Settings(
                most_requests=most_requests,
                limit_s=choice.limit_s,
                batch_timeout_s=batch_timeout_s,
            ),
        ),
        offers.first,
        start,
        changing=changing,
        tls=tls,
        on_ready=on_ready,
    )


def said_of_candidates(choice: Choice) -> str:
    """Return a line for the user with the instances that the load chooses from."""
    found = [
        f"{short(each.split)} {each.variant} ({format_duration(each.first_s)} for one request, "
        f"{each.throughput:.4g} inputs/s)"
        for each, _ in frontier(choice.profiles, choice.machine.usable, choice.limit_s)
    ]
    if len(found) < 2:
        return "one split is best for few requests and for many, so there is nothing to adapt"
    return f"the load chooses from {', '.join(found)}"


class Handovers:
    """What the ready instances of a server have handed over, by optimization."""

    def __init__(self) -> None:
        self._known: dict[str, HandedOver] = {}
        self._useless: set[str] = set()

    def of(self, optimization: str) -> HandedOver:
        """Return what an instance with this optimization can build on."""
        return self._known.get(optimization, HandedOver())

    def keep(self, optimization: str, given: HandedOver, found: HandedOver) -> None:
        """Add what an instance that was given something has handed over in turn."""
        if given.folder and not found.folder:
            # it could not be loaded, and to try again would only take time
            self._useless.add(given.folder)
        known = self.of(optimization)
        self._known[optimization] = HandedOver(
            folder="" if found.folder in self._useless else found.folder,
            batches=tuple(sorted({*known.batches, *found.batches})),
            grown=max(known.grown, found.grown),
            peak=max(known.peak, found.peak),
        )


class Offers:
    """The sets of instances that a model can be served with on this machine.

    Latencies are those of the run that the choice was made from, empty if there is none.
    """

    def __init__(self, choice: Choice, local: LocalHost) -> None:
        self._choice = choice
        self._local = local
        self._batches: dict[Place, set[int]] = {}
        cells = choice.split.cells
        self.first = self._set(
            choice.split, choice.variant, choice.most_rows, {batch for _, batch in cells},
            choice.latencies,
        )  # fmt: skip

    def batches(self, place: Place) -> tuple[int, ...]:
        """Return the batches that the instance of a place computes in one forward."""
        return tuple(sorted(self._batches[place]))

    def known(self) -> list[tuple[InstanceSet, Candidate]]:
        """Return the sets of the run that are best under some load, and how each behaves."""
        choice = self._choice
        return [
            (
                self._of_profile(capacity.split, profile),
                candidate_of(capacity, profile, choice.limit_s),
            )
            for capacity, profile in frontier(
                choice.profiles, choice.machine.usable, choice.limit_s
            )
        ]

    def offer(self, split: str, optimization: str | None) -> InstanceSet:
        """Return the set for a split such as ``2x1``; raise a CoresplitError if impossible."""
        choice = self._choice
        threads = fitting(parse_split(split), choice.machine)
        name = optimization or choice.variant.optimization
        require_applicable([name], form_of(choice.spec.name), choice.spec.name)
        if not is_fake(choice.spec.name) and (lacking := usable(name)):
            raise EnvironmentFault(lacking)
        measured = [
            each
            for each in choice.profiles
            if each.variant.optimization == name and set(threads) <= set(each.threads)
        ]
        if measured:
            # prefer the allocator and mapping of the first choice
            profile = min(measured, key=lambda each: each.variant.placing != choice.variant.placing)
            most = max(profile.batches)
            return self._of_profile(split_of([(each, most) for each in threads]), profile)
        variant = Variant(name, choice.variant.mapping, choice.variant.allocator)
        whole = split_of([(each, MOST_BATCH) for each in threads])
        return self._set(whole, variant, MOST_BATCH, set(), {})

    def _of_profile(self, split: Split, profile: Profile) -> InstanceSet:
        own = {batch for _, batch in split.cells}
        return self._set(split, profile.variant, max(own), own, latencies_of(profile, split))

    def _set(
        self,
        split: Split,
        variant: Variant,
        most_rows: int,
        own: set[int],
        latencies: Mapping[tuple[int, int], float],
    ) -> InstanceSet:
        placed = self._local.place([threads for threads, _ in split.cells], variant.mapping)
        places = tuple(Place(cpus, variant.optimization, variant.allocator) for cpus in placed)
        # powers of two, and the batches of the split
        powers = {2**power for power in range(most_rows.bit_length())}
        for place in places:
            batches = self._batches.setdefault(place, {1})
            batches |= {each for each in powers | own if each <= most_rows}
        return InstanceSet(
            name=f"{short(split)} {variant}",
            places=places,
            most_rows=most_rows,
            latencies=Latencies(latencies),
        )
