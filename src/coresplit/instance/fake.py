"""A supported fake: latencies from a formula, on a clock that only the fake moves."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, pairwise

from coresplit.errors import InstanceError, InstanceTimeout
from coresplit.instance.ensemble import Member
from coresplit.instance.interrupt import GRACE_S, Interrupt
from coresplit.instance.messages import FoundPeak, InstanceSpec, Ready, Timed
from coresplit.instance.protocol import Instance, not_ready
from coresplit.records import Cell, Evidence, Mapping, ModelInput, Signs, Variant

Formula = Callable[[InstanceSpec, int, int], float]
"""Latency in seconds of the n-th forward (from 0) of a batch on an instance."""


class FakeClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the current time in seconds."""
        return self.now


class FakeInstance:
    """An instance with latencies from a formula, without a process or real waiting.

    ``memory`` returns the peak memory in bytes of a batch, ``throttled`` the throttled periods of a
    forward, ``faults`` its minor page faults, and ``signs`` the signs of a visit from its start
    and its duration in seconds. An InstanceError raised by the formula reaches the caller.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        formula: Formula,
        clock: FakeClock,
        *,
        prepare_s: float = 0.0,
        input_s: float = 0.0,
        memory: Callable[[int], int] = lambda batch: 100_000_000 + 1_000_000 * batch,
        throttled: Callable[[InstanceSpec, int], int] = lambda spec, batch: 0,
        faults: Callable[[int], int] = lambda batch: 1000 * batch,
        signs: Callable[[InstanceSpec, float, float], Signs | None] = lambda spec, at, wall: None,
    ) -> None:
        self.spec = spec
        self.closed = False
        self._formula = formula
        self._clock = clock
        self.paused = False
        self._prepare_s = self._unready_s = prepare_s
        self._input_s = input_s
        self._memory = memory
        self._throttled = throttled
        self._faults = faults
        self._signs = signs
        self._counts: dict[int, int] = {}
        self._begun = (0, 0.0, 0.0)

    def wait_ready(self, interrupt: Interrupt | None = None, timeout: float = math.inf) -> Ready:
        """Return after ``prepare_s`` seconds of fake time."""
        self._require_open()
        if not self.answered(timeout, interrupt):
            self.closed = True
            raise not_ready(self.spec)
        return Ready(
            threads=self.spec.threads,
            interop_threads=1,
            cpus=tuple(sorted(self.spec.cpus)),
            allocator=self.spec.allocator,
            start_s=0.0,
            prepare_s=self._prepare_s,
            input_s=self._input_s,
            error=0.0,
            largest_tensor=0,
            flops=11_426_432_192,
            inputs=(ModelInput(name="x", shape=(3, 299, 299)),),
            parameters=23_834_568,
            weights="fake",
            memory=self._memory(1),
        )

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """True if it is ready within ``timeout`` seconds of fake time."""
        asked = interrupt is not None and interrupt.requested
        waited = 0.0 if asked else min(self._unready_s, timeout)
        self._clock.now += waited
        if not self.paused:
            self._unready_s -= waited
        return self._unready_s <= 0.0

    def pause(self) -> None:
        """Stop preparing until resumed."""
        self.paused = self._unready_s > 0.0

    def resume(self) -> None:
        """Continue preparing."""
        self.paused = False

    def time_forward_passes(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
        *,
        warmup: int = 0,
    ) -> Timed:
        """Time forwards by the formula; the clock advances by their sum, with the warm-up."""
        self.wait_ready()
        if interrupt is not None and interrupt.requested_at is not None:
            timeout = min(timeout, interrupt.requested_at + GRACE_S - time.monotonic())
        deadline = self._clock.now + timeout
        before = tuple(self._forward(batch, deadline) for _ in range(warmup))
        begin = self._clock.now
        durations: list[float] = []
        while len(durations) < count and self._clock.now - begin < seconds:
            durations.append(self._forward(batch, deadline))
        return Timed(
            durations=tuple(durations),
            evidence=self._evidence(batch, tuple(durations), begin),
            signs=self._signs(self.spec, begin, sum(durations)),
            begun_at=begin,
            ended_at=self._clock.now,
            warmup=before,
        )

    def begin(self, batch: int, start_at: float) -> None:
        """Note when the forward starts; the clock does not move, because others may run too."""
        self.wait_ready()
        done = self._counts.get(batch, 0)
        self._counts[batch] = done + 1
        self._begun = batch, start_at, self._formula(self.spec, batch, done)

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """Move the clock to the end of the forward, unless it is already later."""
        batch, start_at, duration = self._begun
        if math.isinf(duration) or duration > timeout:
            self._clock.now = max(self._clock.now, start_at + timeout)
            self.closed = True
            raise InstanceTimeout(f"{self.spec} did not answer in time and was ended")
        self._clock.now = max(self._clock.now, start_at + duration)
        return Timed(
            durations=(duration,),
            evidence=self._evidence(batch, (duration,), start_at),
            signs=self._signs(self.spec, start_at, duration),
            begun_at=start_at,
            ended_at=start_at + duration,
        )

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Return 1e11 operations per second for each thread, without taking time."""
        self._require_open()
        speed = 1e11 * self.spec.threads
        return FoundPeak(
            matmul_flops={"float32": speed, "bfloat16": 2 * speed}, memory_bandwidth=2e10
        )

    def close(self) -> None:
        """Refuse any further forwards."""
        self.closed = True

    def _require_open(self) -> None:
        if self.closed:
            raise InstanceError(f"{self.spec} is closed")

    def _forward(self, batch: int, deadline: float) -> float:
        done = self._counts.get(batch, 0)
        duration = self._formula(self.spec, batch, done)
        if math.isinf(duration) or self._clock.now + duration > deadline:
            self._clock.now = deadline
            self.closed = True
            raise InstanceTimeout(f"{self.spec} did not answer in time and was ended")
        self._counts[batch] = done + 1
        self._clock.now += duration
        return duration

    def _evidence(self, batch: int, durations: tuple[float, ...], begin: float) -> Evidence:
        count = len(durations)
        return Evidence(
            forwards=count,
            wall_s=sum(durations),
            user_s=sum(durations) * self.spec.threads,
            system_s=0.0,
            minor_faults=self._faults(batch) * count,
            major_faults=0,
            voluntary_switches=0,
            involuntary_switches=0,
            throttled_periods=self._throttled(self.spec, batch) * count,
            throttled_s=0.0,
            steal_s=0.0,
            peak_memory=self._memory(batch),
            started_at=begin,
            threads=self.spec.threads,
            thread_cores=tuple(str(cpu) for cpu in self.spec.cpus),
        )


class FakeHost:
    """A host of fake instances: ``start`` starts one for a cell, ``start_on`` one on given CPUs.

    ``available_memory`` and ``free_for`` return bytes, ``culprit`` the process that disturbs
    logical CPUs.
    """

    def __init__(
        self,
        clock: FakeClock,
        start: Callable[[Cell], Instance] | None = None,
        start_on: Callable[[Variant, tuple[int, ...]], Member] | None = None,
        *,
        place: Callable[[Sequence[int], Mapping], Sequence[tuple[int, ...]]] | None = None,
        available_memory: Callable[[], int] = lambda: 2**40,
        free_for: Callable[[Cell], int] | None = None,
        together: int = 1,
        culprit: Callable[[Collection[int]], str] = lambda cpus: "",
    ) -> None:
        self.clock = clock
        self.together = together
        self.available_memory = available_memory
        self.free_for = free_for or (lambda cell: available_memory())
        self.culprit = culprit
        self._start = start
        self._start_on = start_on
        self._place = place

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell."""
        assert self._start is not None
        return self._start(cell)

    def start_on(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        """Start an instance on these logical CPUs."""
        assert self._start_on is not None
        return self._start_on(variant, cpus)

    def place(self, threads: Sequence[int], mapping: Mapping) -> Sequence[tuple[int, ...]]:
        """Return the logical CPUs of instances with these thread counts; by default in order."""
        if self._place is not None:
            return self._place(threads, mapping)
        ends = list(accumulate(threads, initial=0))
        return [tuple(range(first, last)) for first, last in pairwise(ends)]
