"""The instances that a run offers for serving, and how they behave in a simulation."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from coresplit.instance.child.batching import split
from coresplit.planner import Capacity, Profile, capacities_of
from coresplit.planner.option import option_of
from coresplit.records import Measurement, Run, Split, split_of
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.dividing import Latencies
from coresplit.serving.sizing import BETWEEN_S

OVERHEAD_S = 4e-4
"""Time of a request besides its forward: reading, dispatch, answering (benchmarks/serving)."""
WORK_S = 4e-4
"""CPU time of the server per request, which instances lose if all cores are busy."""
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
    """Return a split as people write it: ``2x1``, or ``1x8+4x2`` if instances differ in threads."""
    counts = Counter(threads for threads, _ in split.cells)
    return "+".join(f"{counts[each]}x{each}" for each in sorted(counts, reverse=True))


def frontier(
    profiles: Iterable[Profile], cores: int, limit_s: float = math.inf
) -> list[tuple[Capacity, Profile]]:
    """Return the capacities that could be best under some load, with their profiles.

    None of them is beaten both in latency of a single request and in throughput, with batches
    that take at most ``limit_s``. The fastest for a single request comes first.
    """
    return unbeaten(
        [(each, one) for one in profiles for each in capacities_of(one, cores, limit_s)]
    )


def unbeaten(pairs: Iterable[tuple[Capacity, Profile]]) -> list[tuple[Capacity, Profile]]:
    """Return those that no other one beats in both, in the order of ``frontier``."""
    found: list[tuple[Capacity, Profile]] = []
    most = 0.0
    for capacity, profile in sorted(pairs, key=lambda pair: (pair[0].first_s, -pair[0].throughput)):
        if capacity.throughput > most:
            most = capacity.throughput
            found.append((capacity, profile))
    return found


def servings_of(run: Run, profiles: Iterable[Profile], cores: int) -> list[Serving]:
    """Return the frontier of a run, each with its measured behaviour."""
    return [serving_of(run, capacity, profile) for capacity, profile in frontier(profiles, cores)]


def serving_of(run: Run, capacity: Capacity, profile: Profile) -> Serving:
    """Return a capacity with its measured behaviour."""
    cells = capacity.split.cells
    threads = [threads for threads, _ in cells]
    candidate = measured(run, profile, threads, max(batch for _, batch in cells))
    return Serving(capacity=capacity, profile=profile, candidate=candidate)


def serving_as_told(run: Run, profile: Profile, threads: Sequence[int]) -> Serving:
    """Return the instances that the user named, each with up to the largest batch, as in serve."""
    most = {each: max(batch for count, batch in profile.cells if count == each) for each in threads}
    candidate = measured(run, profile, threads, max(profile.batches))
    capacity = Capacity(
        variant=profile.variant,
        first_s=min(candidate.busy.seconds(each, 1) for each in most),
        full=option_of(profile, split_of([(each, most[each]) for each in threads])),
    )
    return Serving(capacity=capacity, profile=profile, candidate=candidate)


def candidate_of(capacity: Capacity, profile: Profile, limit_s: float = math.inf) -> Candidate:
    """Return how a capacity behaves if every forward takes its predicted time."""
    cells = capacity.split.cells
    threads, most = [each for each, _ in cells], max(batch for _, batch in cells)
    found = _candidate(profile, threads, most, {})
    return msgspec.structs.replace(found, limit_s=limit_s)


def measured(run: Run, profile: Profile, threads: Sequence[int], most_rows: int) -> Candidate:
    """Return how instances behave with the measured noise and each with its own latency.

    A packed cell takes as long as its slowest copy, but requests are answered one by one.
    """
    own = [
        each
        for each in run.measurements
        if each.cell.variant == profile.variant and each.cell.threads in threads
    ]
    sooner = _sooner(own) if profile.setting == "packed" and len(threads) > 1 else {}
    found = _candidate(profile, threads, most_rows, sooner)
    return msgspec.structs.replace(found, noise=noise_of(own))


def _candidate(
    profile: Profile,
    threads: Sequence[int],
    most_rows: int,
    sooner: Mapping[tuple[int, int], float],
) -> Candidate:
    usual = statistics.median(sooner.values()) if sooner else 1.0
    busy = {
        place: took * sooner.get(place, usual)
        for place, took in _latencies(profile, threads, sum(threads)).items()
    }
    return Candidate(
        threads=tuple(threads),
        most_rows=most_rows,
        busy=_in_forwards(busy, most_rows),
        alone=_in_forwards(_latencies(profile, threads, 0), most_rows),
        overhead_s=OVERHEAD_S,
        pause_s=BETWEEN_S,
        work_s=WORK_S,
    )


def _latencies(profile: Profile, threads: Sequence[int], busy: int) -> dict[tuple[int, int], float]:
    """Return the latencies while ``busy`` cores are busy, at least those of the instance."""
    return {
        place: profile.latency_at(place, max(busy, place[0])).latency
        for place in profile.cells
        if place[0] in threads
    }


def _in_forwards(known: Mapping[tuple[int, int], float], most_rows: int) -> Latencies:
    """Return the latencies of all batches up to ``most_rows``, each the sum of its forwards.

    An instance is prepared for powers of two and its largest batch, and computes three rows as
    two and one.
    """
    forwards = Latencies(known)
    return Latencies(
        {
            (threads, rows): sum(
                forwards.seconds(threads, size) for size in _sizes(rows, most_rows)
            )
            for threads in {each for each, _ in known}
            for rows in range(1, most_rows + 1)
        }
    )


def _sizes(rows: int, most_rows: int) -> Sequence[int]:
    powers = [2**power for power in range(most_rows.bit_length())]
    if most_rows in powers:
        return [power for power in powers if rows & power]
    return split(rows, (*powers, most_rows))


def _sooner(measurements: Iterable[Measurement]) -> dict[tuple[int, int], float]:
    """Return the latency of one copy of a packed cell over that of the last copy."""
    return {
        (each.cell.threads, each.cell.batch): statistics.median(_forwards(each))
        / statistics.median(each.samples)
        for each in measurements
        if each.copies and each.samples
    }


def _forwards(measurement: Measurement) -> list[float]:
    """Return the duration of each forward; of a packed cell, of every copy."""
    if measurement.copies:
        return [took for each in measurement.copies for took in each]
    return [sample for visit in measurement.by_visit for sample in visit]


def noise_of(measurements: Iterable[Measurement]) -> tuple[float, ...]:
    """Return ratios of forwards to the median of their cell, an even sample of the sorted ones."""
    ratios: list[float] = []
    for each in measurements:
        samples = _forwards(each)
        if len(samples) > 2:
            middle = statistics.median(samples)
            ratios += [sample / middle for sample in samples]
    ratios.sort()
    step = max(1, len(ratios) // MOST_NOISE)
    return tuple(ratios[step // 2 :: step])
