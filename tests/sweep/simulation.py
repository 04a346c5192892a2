"""Sweeps over fake instances whose true latencies are known.

Shared by the tests and the benchmarks of coverage and of equal optimizations. The real sweep, its
schedule, its stopping rule and its budget run on a clock that only the fake instances move; nothing
of it is replaced.
"""

import math
import random
from collections.abc import Callable
from typing import Literal

import msgspec

from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Interrupt, Timed
from coresplit.models import ModelSpec
from coresplit.records import Cell, JournalEntry, Measurement, ModelInfo, Run, Settings
from coresplit.sweep import Sweep, anchor_of

Law = Literal["normal", "lognormal", "bimodal", "drift", "step"]
LAWS: tuple[Law, ...] = ("normal", "lognormal", "bimodal", "drift", "step")
DRIFTING: tuple[Law, ...] = ("drift", "step")
SLOW_SHARE = 0.1


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """How simulated forwards vary: relative ``size``, share of it that a visit has in common.

    ``drift`` and ``step`` add a change of the machine of three times ``size``, over the whole run
    or at a random moment of it, to normal noise.
    """

    law: Law
    size: float
    correlation: float


class Machine:
    """A clock, instances with known latencies, and the sink of one simulated sweep."""

    def __init__(
        self,
        noise: Noise,
        latency: Callable[[InstanceSpec, int], float],
        seed: int,
        length_s: float,
    ) -> None:
        self.clock = FakeClock()
        self.lines: dict[Cell, Measurement] = {}
        self.journal: list[JournalEntry] = []
        self._noise = noise
        self._latency = latency
        self._random = random.Random(seed)
        self._length = length_s
        self._moment = self._random.random() * length_s
        self._visits: dict[InstanceSpec, tuple[int, float]] = {}
        self._last_end = -1.0

    def append(self, measurement: Measurement) -> None:
        self.lines[measurement.cell] = measurement

    def log(self, entry: JournalEntry) -> None:
        self.journal.append(entry)

    def open(self, cell: Cell) -> FakeInstance:
        return Visiting(spec_of(cell), self)

    def forward(self, spec: InstanceSpec, batch: int, visit: float) -> float:
        """Seconds of one forward of a visit that is ``visit`` standard deviations slow."""
        noise, own = self._noise, self._forward()
        shared, alone = math.sqrt(noise.correlation), math.sqrt(1 - noise.correlation)
        deviation = noise.size * (shared * visit + alone * own)
        factor = math.exp(deviation) if noise.law == "lognormal" else 1 + deviation
        return self._latency(spec, batch) * max(0.05, factor) * self._level(self.clock.now)

    def visit(self) -> float:
        return self._random.gauss(0, 1)

    def truth(self, spec: InstanceSpec, batch: int) -> float:
        """The median latency from the beginning until now, which is the end of the sweep."""
        noise = self._noise
        middle = self._latency(spec, batch)
        if noise.law == "bimodal":
            middle *= 1 + noise.size * math.sqrt(1 - noise.correlation) * bimodal_median(
                noise.correlation
            )
        steps = [self._level(self.clock.now * (n + 0.5) / 1000) for n in range(1000)]
        return middle * math.fsum(steps) / len(steps)

    def _forward(self) -> float:
        if self._noise.law != "bimodal":
            return self._random.gauss(0, 1)
        slow = self._random.random() < SLOW_SHARE
        return bimodal(slow, self._random.gauss(0, 1))

    def _level(self, now: float) -> float:
        law, size = self._noise.law, self._noise.size
        if law == "drift":
            return 1 + 3 * size * min(1.0, now / self._length)
        if law == "step":
            return 1 + 3 * size * (now >= self._moment)
        return 1.0

    def run(self, settings: Settings) -> Run:
        Sweep(settings, FakeHost(self.clock, self.open), self).run()
        return Run(
            name="simulated",
            created_at=0.0,
            model=ModelInfo(name="simulated", title="Simulated"),
            settings=settings,
            machine=None,
            software={},
            measurements=tuple(self.lines.values()),
            journal=tuple(self.journal),
        )


class Visiting(FakeInstance):
    """A fake instance whose forwards of one visit have a deviation in common."""

    def __init__(self, spec: InstanceSpec, machine: Machine) -> None:
        self._shared = 0.0
        self._machine = machine
        super().__init__(
            spec, lambda own, batch, done: machine.forward(own, batch, self._shared), machine.clock
        )

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
        self._shared = self._machine.visit()
        # what a visit costs beside its forwards: making inputs, a rest, messages
        self._machine.clock.now += 0.03
        return super().time_forward_passes(batch, count, seconds, timeout, interrupt, warmup=warmup)


GAP = 1 / math.sqrt(SLOW_SHARE * (1 - SLOW_SHARE)) * 0.95
"""How far the slow mode lies from the other, so that the standard deviation of both is one."""
REST = math.sqrt(1 - 0.95**2)


def bimodal(slow: bool, normal: float) -> float:
    """A deviate of unit variance of which a tenth is slow, centred on its quicker mode."""
    return GAP * slow + REST * normal


def bimodal_median(correlation: float) -> float:
    """Median of forwards, over visits too, in units of the standard deviation of a forward."""
    ratio = math.sqrt(correlation / (1 - correlation))
    spread = math.hypot(REST, ratio)
    low, high = -5.0 * spread, GAP + 5.0 * spread

    def below(value: float) -> float:
        quick, slow = (0.5 * math.erfc(-(value - g) / spread / math.sqrt(2)) for g in (0.0, GAP))
        return (1 - SLOW_SHARE) * quick + SLOW_SHARE * slow

    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0.5 else (low, middle)
    return low


def grid(optimizations: int, batches: tuple[int, ...], budget_s: float, seed: int) -> Settings:
    """Settings of a sweep over so many optimizations on one and two threads, with an anchor."""
    names = tuple(f"o{number}" for number in range(optimizations))
    settings = Settings(
        optimizations=names, threads=(1, 2), batches=batches, budget_s=budget_s, seed=seed
    )
    return msgspec.structs.replace(settings, anchor=anchor_of(settings))


def spec_of(cell: Cell) -> InstanceSpec:
    """The fake instance of a cell."""
    return InstanceSpec(
        model=ModelSpec(name="inception"),
        optimization=cell.optimization,
        cpus=tuple(range(cell.threads)),
        home=(0, 1),
    )
