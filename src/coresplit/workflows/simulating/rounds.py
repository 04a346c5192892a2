"""Replay a load on instances, in rounds with different arrivals."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from coresplit.loading.arrivals import Arrival, read_trace
from coresplit.loading.asked import Load, times_of
from coresplit.loading.percentiles import percentile, rank
from coresplit.planner import Profile, plan
from coresplit.records import Run
from coresplit.serving.adapting.controller import Controller, Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.packrat import PackratSwitcher
from coresplit.serving.adapting.simulation import Replay, Switcher, simulate
from coresplit.serving.adapting.sources import Closed, Open, Source
from coresplit.workflows.candidates import Serving, candidate_of, measured, short
from coresplit.workflows.simulating.request import Servings, SimulateRequest

_MOST_BATCHES = 16
"""Number of powers of two for which Packrat's instances are planned."""
_BEHIND = 0.05


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one replay; ``cost`` is the root of the mean of squared latencies."""

    requests: int
    refused: int
    mean: float
    p50: float
    p99: float | None
    cost: float
    throughput: float
    switches: int
    unanswered: int
    seconds: float


class Arriving:
    """The requests of each round; ``rows`` is used if the load does not say how many."""

    def __init__(self, load: Load, rows: int) -> None:
        self._load = load
        self._rows = rows
        self._trace: tuple[Arrival, ...] = (
            () if load.trace is None else read_trace(Path(load.trace))
        )

    def source(self, round_of: int) -> Source:
        """Return the source of the requests of a round."""
        load = self._load
        duration = math.inf if load.duration is None else load.duration
        if load.concurrency is not None:
            return Closed([(duration, load.concurrency)], self._rows, load.think)
        again = msgspec.structs.replace(load, seed=load.seed + round_of)
        return Open(self._until(duration, times_of(again, self._trace)))

    def _until(
        self, duration: float, times: Iterator[tuple[float, int]]
    ) -> Iterator[tuple[float, int]]:
        for at, rows in times:
            if at >= duration:
                return
            yield at, rows or self._rows

    def figures(self, replay: Replay) -> Figures:
        """Return the result of a replay, counted as ``load`` counts."""
        ordered = sorted(replay.latencies)
        count = len(ordered)
        ends = [at + took for at, took in zip(replay.arrivals, replay.latencies, strict=True)]
        last = max(ends, default=0.0)
        window = last if self._load.duration is None else self._load.duration
        within = sum(end <= window for end in ends)
        return Figures(
            requests=count + replay.refused,
            refused=replay.refused,
            mean=math.fsum(ordered) / count if count else math.nan,
            p50=rank(ordered, 0.5) if count else math.nan,
            p99=percentile(ordered, 0.99),
            cost=math.sqrt(math.fsum(each * each for each in ordered) / count)
            if count
            else math.nan,
            throughput=within / window if window else 0.0,
            switches=len(replay.switches),
            unanswered=count - within,
            seconds=last,
        )

    def falls_behind(self, found: Sequence[Figures], most_at_once: int) -> bool:
        """True if more requests were open at the end, or refused, than instances take at once."""
        if self._load.concurrency is not None:
            return False
        return (
            statistics.median(
                each.unanswered + each.refused - most_at_once - _BEHIND * each.requests
                for each in found
            )
            > 0
        )


class Players:
    """The policies that serve a load: each set of instances, and two that switch between sets."""

    def __init__(
        self, run: Run, servings: Servings, present: Serving, request: SimulateRequest
    ) -> None:
        self._candidates = {each.name: each.candidate for each in servings.found}
        self._present = present.name
        self._switch_s = request.switch
        self._by_batch, self._planned = _packrat(run, present.profile, servings.cores)
        # a server does not know the noise of its instances
        self._known = {
            each.name: candidate_of(each.capacity, each.profile) for each in servings.found
        }
        for candidates in (self._candidates, self._planned, self._known):
            for name, each in candidates.items():
                candidates[name] = msgspec.structs.replace(
                    each,
                    work_s=each.work_s + request.client,
                    overhead_s=each.overhead_s + request.client,
                )

    @property
    def has_packrat(self) -> bool:
        """True if the planner has instances for a single input."""
        return 1 in self._by_batch

    def fixed(self, name: str, source: Source, seed: int) -> Replay:
        """Replay with the same instances all the time."""
        return simulate(self._candidates, source, first=name, seed=seed)

    def adapting(self, source: Source, seed: int) -> Replay:
        """Replay with the instances that the controller of the server picks."""
        rules = Rules(
            cores={name: sum(each.threads) for name, each in self._candidates.items()},
            switch_s=dict.fromkeys(self._candidates, self._switch_s),
        )
        controller = Controller(self._known, self._present, rules)
        return self._changing(self._candidates, self._present, controller, source, seed)

    def packrat(self, source: Source, seed: int) -> Replay:
        """Replay with the planned instances for the batch that the rule of Packrat picks."""
        first = self._by_batch[1]
        switcher = PackratSwitcher(self._by_batch, first)
        return self._changing(self._planned, first, switcher, source, seed)

    def _changing(
        self,
        candidates: Mapping[str, Candidate],
        first: str,
        switcher: Switcher,
        source: Source,
        seed: int,
    ) -> Replay:
        return simulate(
            candidates, source, first=first, switcher=switcher, switch_s=self._switch_s, seed=seed
        )


def _packrat(run: Run, profile: Profile, cores: int) -> tuple[dict[int, str], dict[str, Candidate]]:
    """Return the planned instances for each batch, and how they behave.

    Instances take up to the largest batch, as in a server, so that only the choice is compared.
    """
    by_batch: dict[int, str] = {}
    candidates: dict[str, Candidate] = {}
    for batch in (2**power for power in range(_MOST_BATCHES)):
        found = plan(profile, cores, batch)
        if found is None:
            continue
        split = found.fastest.split
        name = f"{short(split)} {profile.variant}"
        by_batch[batch] = name
        if name not in candidates:
            threads = [threads for threads, _ in split.cells]
            candidates[name] = measured(run, profile, threads, max(profile.batches))
    return by_batch, candidates
