"""Loads and candidates for tests of what a load wants: a fat and a thin split of two cores."""

import math
import random
from collections.abc import Callable

from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.sources import Arrival
from coresplit.serving.dividing import Latencies

BATCHES = (1, 2, 4, 8)
FAT = Candidate(
    threads=(2,), most_rows=8, busy=Latencies({(2, b): 0.01 + 0.05 * b for b in BATCHES})
)
THIN = Candidate(
    threads=(1, 1), most_rows=8, busy=Latencies({(1, b): 0.01 + 0.08 * b for b in BATCHES})
)
SPLITS = {"fat": FAT, "thin": THIN}


def poisson(
    rate: Callable[[float], float], most: float, seconds: float, seed: int = 1
) -> list[Arrival]:
    """Arrivals whose rate changes with time, by thinning."""
    chance, at = random.Random(seed), 0.0
    found: list[Arrival] = []
    while (at := at + chance.expovariate(most)) < seconds:
        if chance.random() < rate(at) / most:
            found.append((at, 1))
    return found


def constant(rate: float, seconds: float, seed: int = 1) -> list[Arrival]:
    return poisson(lambda at: rate, rate, seconds, seed)


def ramp(low: float, high: float, seconds: float) -> list[Arrival]:
    return poisson(lambda at: low + (high - low) * at / seconds, high, seconds)


def diurnal(low: float, high: float, period: float, seconds: float) -> list[Arrival]:
    middle, swing = (low + high) / 2, (high - low) / 2
    return poisson(lambda at: middle - swing * math.cos(2 * math.pi * at / period), high, seconds)


def spiky(base: float, peak: float, every: float, width: float, seconds: float) -> list[Arrival]:
    return poisson(
        lambda at: peak if at % every > every - width else base, max(base, peak), seconds
    )
