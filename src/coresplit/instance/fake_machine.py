"""A fake machine: instances with latencies from a formula, without real time passing."""

import math
import random
from collections.abc import Collection, Sequence

from coresplit.errors import InstanceError
from coresplit.instance.ensemble import Member, Pack
from coresplit.instance.fake import FakeClock, FakeInstance
from coresplit.instance.messages import InstanceSpec
from coresplit.instance.protocol import Instance
from coresplit.machine.placement import place, place_together
from coresplit.models import FakeModel, ModelSpec
from coresplit.records import Cell, Core, Machine, Mapping, Variant

NOISE = 0.003
"""Relative standard deviation of a forward; seeded by its instance, batch and number."""
PREPARE_S = 0.5
MEMORY = 64 * 2**30


def fake_machine(model: FakeModel) -> Machine:
    """Return the record of the machine."""
    return Machine(
        cpu_model="fake processor",
        cores=tuple(Core(cpu=cpu) for cpu in range(model.cores)),
        usable=model.cores,
        quota_cores=None,
        memory=MEMORY,
        memory_limit=None,
        kernel="none",
        logical_cpus=model.cores,
    )


class FakeMachine:
    """The host of instances of a fake model; only their forwards make time pass."""

    def __init__(self, spec: ModelSpec, model: FakeModel, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.together = 1
        self._spec = spec
        self._model = model
        self._cores = fake_machine(model).cores

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell."""
        if cell.setting == "packed":
            copies = [cell.threads] * (self._model.cores // cell.threads)
            places = self.place(copies, cell.mapping)
            return Pack([self.start_on(cell.variant, cpus) for cpus in places], self.clock)
        return self.start_on(cell.variant, place(self._cores, cell.threads, cell.mapping))

    def start_on(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        """Start an instance on these logical CPUs."""
        spec = InstanceSpec(
            model=self._spec,
            optimization=variant.optimization,
            cpus=cpus,
            home=cpus,
            mapping=variant.mapping,
            allocator=variant.allocator,
        )
        first_s = self._exact(variant.optimization, len(cpus), 1)
        return FakeInstance(spec, self._latency, self.clock, prepare_s=PREPARE_S, input_s=first_s)

    def place(self, threads: Sequence[int], mapping: Mapping) -> Sequence[tuple[int, ...]]:
        """Return the logical CPUs of instances with these thread counts that run together."""
        return place_together(self._cores, threads, mapping)

    def available_memory(self) -> int:
        """Return the memory in bytes; it is always free."""
        return MEMORY

    def free_for(self, cell: Cell) -> int:
        """Return the memory in bytes; it is always free."""
        return MEMORY

    def culprit(self, cpus: Collection[int]) -> str:
        """Return an empty name: no process disturbs this machine."""
        return ""

    def _latency(self, spec: InstanceSpec, batch: int, done: int) -> float:
        exact = self._exact(spec.optimization, spec.threads, batch)
        drawn = random.Random(f"{spec} {spec.cpus} {batch} {done} {self._spec.seed}")
        return exact * drawn.lognormvariate(0.0, NOISE)

    def _exact(self, optimization: str, threads: int, batch: int) -> float:
        try:
            found = self._model.latency(optimization, threads, batch)
        except (ArithmeticError, ValueError):
            found = 0.0
        if not 0.0 < found < math.inf:
            raise InstanceError(f"the formula gives no duration for t={threads} b={batch}")
        return found
