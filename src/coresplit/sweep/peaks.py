"""The peak performance of the cores, measured by instances that are ready."""

import time
from collections.abc import Callable, Iterable, Iterator

from coresplit.errors import InstanceError
from coresplit.instance import Instance, Interrupt
from coresplit.records import Peak
from coresplit.sweep.pool import Key

TIMEOUT_S = 120.0
LEAST_S = 10.0
"""Seconds of the budget that must be left, because a peak takes a few."""


def find_peaks(
    ready: Iterable[tuple[Key, Instance]],
    interrupt: Interrupt | None,
    left: Callable[[], float],
) -> Iterator[Peak]:
    """The peak of every thread count and mapping, by one instance each, while time is left."""
    found: set[tuple[int, str]] = set()
    for key, instance in ready:
        place = key.threads, key.mapping
        interrupted = interrupt is not None and interrupt.requested
        if place in found or interrupted or left() <= LEAST_S:
            continue
        found.add(place)
        try:
            peak = instance.find_peak(TIMEOUT_S, interrupt)
        except InstanceError:
            # visits of its cells will report the failure
            continue
        yield Peak(
            at=time.time(),
            threads=key.threads,
            mapping=key.mapping,
            matmul_flops=peak.matmul_flops,
            memory_bandwidth=peak.memory_bandwidth,
        )
