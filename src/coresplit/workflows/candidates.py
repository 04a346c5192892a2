"""The instances that a run knows of for serving, as a load is replayed through them."""

import math
import statistics
from collections.abc import Iterable, Mapping

import msgspec

from coresplit.planner import Capacity, Profile, capacities_of
from coresplit.records import Measurement, Run, Split
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.dividing import Latencies

OVERHEAD_S = 4e-4
"""What a request takes beside its forward: reading, dispatch, answering (benchmarks/serving)."""
MOST_NOISE = 200


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A capacity with its profile, and how it behaves in a simulation."""

    capacity: Capacity
    profile: Profile
    candidate: Candidate

    @property
    def name(self) -> str:
        """Instances times threads, and the optimization: ``2x1 openvino``."""
        return f"{short(self.capacity.split)} {self.capacity.variant}"


def short(split: Split) -> str:
    """A split of equal instances as people write it: ``2x1``; pieces joined by a plus."""
    return "+".join(f"{piece.instances}x{piece.threads}" for piece in split.pieces)


def frontier(
    profiles: Iterable[Profile], cores: int, limit_s: float = math.inf
) -> list[tuple[Capacity, Profile]]:
    """What could serve best under some load: nothing else is faster both ways.

    That is for a single request and for as many as there may be, of batches that take at most
    ``limit_s``. The fastest for a single request comes first.
    """
    pairs = [(each, one) for one in profiles for each in capacities_of(one, cores, limit_s)]
    pairs.sort(key=lambda pair: (pair[0].first_s, -pair[0].throughput))
    found: list[tuple[Capacity, Profile]] = []
    most = 0.0
    for capacity, profile in pairs:
        if capacity.throughput > most:
            most = capacity.throughput
            found.append((capacity, profile))
    return found


def servings_of(run: Run, profiles: Iterable[Profile], cores: int) -> list[Serving]:
    """The frontier of a run, each with the noise that was measured."""
    return [serving_of(run, capacity, profile) for capacity, profile in frontier(profiles, cores)]


def serving_of(run: Run, capacity: Capacity, profile: Profile) -> Serving:
    """How a capacity behaves, with the noise that was measured."""
    noise = noise_of(each for each in run.measurements if each.cell.variant == capacity.variant)
    candidate = msgspec.structs.replace(candidate_of(capacity, profile), noise=noise)
    return Serving(capacity=capacity, profile=profile, candidate=candidate)


def candidate_of(capacity: Capacity, profile: Profile, limit_s: float = math.inf) -> Candidate:
    """How a capacity behaves where every forward takes what is predicted."""
    split = capacity.split
    ((threads, most),) = set(split.cells)
    return Candidate(
        threads=tuple(each for each, _ in split.cells),
        most_rows=most,
        busy=Latencies(_latencies(profile, threads, split.cores)),
        alone=Latencies(_latencies(profile, threads, threads)),
        limit_s=limit_s,
        overhead_s=OVERHEAD_S,
    )


def _latencies(profile: Profile, threads: int, busy: int) -> Mapping[tuple[int, int], float]:
    return {
        place: profile.latency_at(place, busy).latency
        for place in profile.cells
        if place[0] == threads
    }


def noise_of(measurements: Iterable[Measurement]) -> tuple[float, ...]:
    """Ratios of forwards to the median of their visit's cell, evenly taken of all there are."""
    ratios: list[float] = []
    for each in measurements:
        samples = [sample for visit in each.by_visit for sample in visit]
        if len(samples) > 2:
            middle = statistics.median(samples)
            ratios += [sample / middle for sample in samples]
    ratios.sort()
    step = max(1, len(ratios) // MOST_NOISE)
    return tuple(ratios[step // 2 :: step])
