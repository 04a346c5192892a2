"""Time single forwards inside the child, with evidence around them."""

import gc
import math
import time
from collections.abc import Callable, Sequence

import msgspec

from coresplit.instance.messages import Forwards, Timed
from coresplit.machine import counters
from coresplit.machine.sharing import clock_hz, signs_of
from coresplit.records import Evidence

SPIN_S = 1e-3
LONGEST_REST_S, REST_STEP_S = 0.25, 2e-3


def time_forwards(
    forward: Callable[[], object], command: Forwards, cpus: Sequence[int], threads: int
) -> Timed:
    """Time up to ``command.count`` calls; none is started after ``command.seconds``.

    ``command.warmup`` calls run first; the seconds, the stolen time and all counters start after
    them, but peak memory includes them. ``cpus`` are the logical CPUs whose stolen time counts,
    ``threads`` the thread count as read back. Garbage collection is off meanwhile, so that no
    forward pays for the objects of another.
    """
    counters.reset_peak_memory()
    gc.disable()
    try:
        _, warmup, _ = _durations(forward, command.warmup, math.inf)
        # the clock speed of idle cores says nothing
        clock = clock_hz(cpus) if warmup else None
        started_at = time.time()
        before = counters.read_counters(cpus)
        if command.start_at is not None:
            wait_until(command.start_at)
        begun_at, durations, ended_at = _durations(forward, command.count, command.seconds)
        after = counters.read_counters(cpus)
    finally:
        gc.enable()
    signs = signs_of(before, after, cpus, ended_at - begun_at, clocks=(clock, clock_hz(cpus)))
    change = counters.difference(before, after)
    evidence = Evidence(
        forwards=len(durations),
        peak_memory=counters.peak_memory(),
        started_at=started_at,
        threads=threads,
        thread_cores=counters.busy_threads(before, after),
        **msgspec.structs.asdict(change),
    )
    return Timed(
        durations=tuple(durations),
        evidence=evidence,
        signs=signs,
        begun_at=begun_at,
        ended_at=ended_at,
        warmup=tuple(warmup),
    )


def wait_until(moment: float) -> None:
    """Return at ``moment`` on the monotonic clock: sleep, then spin, because waking up is slow."""
    while (left := moment - time.perf_counter()) > 0:
        if left > SPIN_S:
            time.sleep(left - SPIN_S)


def rest() -> None:
    """Return once the threads of this process have stopped spinning, or after 0.25 s.

    Libraries let threads spin while they wait for the next call, ONNX Runtime for about 50 ms. They
    would disturb the next visit on the same cores, which may be of another process.
    """
    for _ in range(round(LONGEST_REST_S / REST_STEP_S)):
        spent = time.process_time()
        time.sleep(REST_STEP_S)
        if time.process_time() - spent < REST_STEP_S / 4:
            return


def _durations(
    forward: Callable[[], object], count: int, seconds: float
) -> tuple[float, list[float], float]:
    """Return when the first forward began, each duration, and when the last one ended."""
    durations: list[float] = []
    begin = stop = time.perf_counter()
    while len(durations) < count and stop - begin < seconds:
        start = time.perf_counter()
        forward()
        stop = time.perf_counter()
        durations.append(stop - start)
    return begin, durations, stop
