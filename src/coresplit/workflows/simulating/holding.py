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
from coresplit.serving.adapting.simulation import simulate
from coresplit.serving.adapting.sources import Open
from coresplit.stats.difference import Contrast
from coresplit.workflows.candidates import Serving

PERCENTILE = 99.0
ROUNDS, REQUESTS = 8, 500
_STEP = 1.02
_LOWEST, _HIGHEST = 0.01, 1.0
"""Shares of the maximum throughput: a short overload may end before anything is late."""


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
    rates = []
    for number in range(ROUNDS):
        drawn = random.Random(f"{number} {serving.name}")
        slower = math.exp(drawn.gauss(0.0, capacity.full.location.error))
        # to be slower by a factor is the same as to have a faster clock
        rate = _highest(candidate, slo_s / slower, _LOWEST * capacity.throughput, number)
        rates.append(rate / slower)
    return Holding(serving=serving, rates=tuple(rates))


def _highest(candidate: Candidate, within_s: float, lowest: float, seed: int) -> float:
    """Return the highest rate of one round, searched from ``lowest`` up; 0 for none."""
    chance = random.Random(seed)
    due = list(accumulate(chance.expovariate(1.0) for _ in range(REQUESTS)))

    def is_too_high(power: int) -> bool:
        rate = lowest * _STEP**power
        source = Open((at / rate, 1) for at in due)
        replay = simulate({"": candidate}, source, first="", seed=seed)
        late = replay.refused + sum(took > within_s for took in replay.latencies)
        return late > (1 - PERCENTILE / 100) * REQUESTS

    powers = range(math.ceil(math.log(_HIGHEST / _LOWEST) / math.log(_STEP)))
    held = bisect_left(powers, True, key=is_too_high)
    return lowest * _STEP ** (held - 1) if held else 0.0


def most_held(found: Sequence[Holding]) -> Holding | None:
    """Return the one with the highest rate; None if none holds any rate."""
    best = max(found, key=lambda each: (each.rate, -each.serving.capacity.first_s), default=None)
    return best if best is not None and best.rate else None


def ratios(one: Holding, rivals: Sequence[Holding]) -> list[Speedup]:
    """Return the rate of ``one`` over that of each rival: a family of claims.

    The interval is that of a single round, not of the median: more rounds do not make the measured
    latencies any more certain.
    """
    return speedups([_contrast(one, rival) for rival in rivals])


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
