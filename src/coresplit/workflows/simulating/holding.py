"""Find the instances that hold a latency at the highest request rate, by simulation; pure."""

import math
import random
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from coresplit.planner.option import Speedup, speedups
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.simulation import Replay, simulate
from coresplit.serving.adapting.sources import Open
from coresplit.stats.difference import Contrast
from coresplit.workflows.candidates import Serving

PERCENTILE = 99.0
ROUNDS = 8
_FEWEST, _MOST = 500, 2000
"""Requests of a round."""
_TURNS = 20
"""So many times the latency should a round last, because queues build up slowly."""
_STEP = 1.02
_LOWEST = 0.01
"""Share of the predicted throughput, as the lowest rate that is tried."""
_FLOOD = 4.0
"""Times the predicted throughput, to find the simulated one."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Instances, and the highest rate in requests per second at which each round held."""

    serving: Serving
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)


def holding(serving: Serving, slo_s: float) -> Holding:
    """Find the highest rate per round, with the same Poisson arrivals for all instances.

    At that rate ``PERCENTILE`` percent of the requests take at most ``slo_s`` seconds. In each
    round, all latencies are off by another possible error of the measurement; the rate is 0 if even
    the lowest one is too high.
    """
    candidate = msgspec.structs.replace(serving.candidate, limit_s=slo_s)
    capacity = serving.capacity
    count = requests_of(serving, slo_s)
    rates = []
    for number in range(ROUNDS):
        drawn = random.Random(f"{number} {serving.name}")
        slower = math.exp(drawn.gauss(0.0, capacity.full.location.error))
        # to be slower by a factor is the same as to have a faster clock
        rate = _highest(candidate, slo_s / slower, capacity.throughput, count, number)
        rates.append(rate / slower)
    return Holding(serving=serving, rates=tuple(rates))


def requests_of(serving: Serving, slo_s: float) -> int:
    """Return how many requests a round has."""
    return min(_MOST, max(_FEWEST, round(_TURNS * slo_s * serving.capacity.throughput)))


def _highest(
    candidate: Candidate, within_s: float, throughput: float, count: int, seed: int
) -> float:
    """Return the highest rate of one round, at most the simulated throughput; 0 for none."""
    chance = random.Random(seed)
    due = list(accumulate(chance.expovariate(1.0) for _ in range(count)))
    lowest = _LOWEST * throughput

    def replay(rate: float) -> Replay:
        source = Open((at / rate, 1) for at in due)
        return simulate({"": candidate}, source, first="", seed=seed)

    def is_too_high(power: int) -> bool:
        found = replay(lowest * _STEP**power)
        late = found.refused + sum(took > within_s for took in found.latencies)
        return late > (1 - PERCENTILE / 100) * count

    # a short overload may end before anything is late, so it is left out
    most = replay(_FLOOD * throughput).throughput
    powers = range(max(0, math.ceil(math.log(most / lowest) / math.log(_STEP))))
    held = bisect_left(powers, True, key=is_too_high)
    return lowest * _STEP ** (held - 1) if held else 0.0


def most_held(found: Sequence[Holding]) -> Holding | None:
    """Return the one with the highest rate; None if none holds any rate."""
    best = max(found, key=lambda each: (each.rate, -each.serving.capacity.first_s), default=None)
    return best if best is not None and best.rate else None


def ratios(one: Holding, rivals: Sequence[Holding]) -> list[Speedup | None]:
    """Return the rate of ``one`` over that of each rival: a family of claims.

    None for a rival that holds no rate in most rounds. The interval is that of a single round, not
    of the median: more rounds do not make the measured latencies any more certain.
    """
    found = iter(speedups([_contrast(one, rival) for rival in rivals if rival.rate]))
    return [next(found) if rival.rate else None for rival in rivals]


def _contrast(one: Holding, rival: Holding) -> Contrast:
    least = min(each for each in (*one.rates, *rival.rates, math.inf) if each) / _STEP
    logs = [
        math.log(max(own, least) / max(other, least))
        for own, other in zip(one.rates, rival.rates, strict=True)
    ]
    return Contrast(
        log=statistics.median(logs),
        error=max(statistics.stdev(logs), math.log(_STEP)),
        df=len(logs) - 1,
        pairs=len(logs),
    )
