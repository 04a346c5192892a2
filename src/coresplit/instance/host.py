"""Where instances run: starting and placing them, and what is free and who disturbs there."""

import itertools
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from coresplit.instance.ensemble import Member, Pack
from coresplit.instance.messages import InstanceSpec, Serve
from coresplit.instance.process import Process
from coresplit.instance.protocol import Instance
from coresplit.machine.cgroups import available_memory
from coresplit.machine.neighbours import Neighbours
from coresplit.machine.numa import free_memory, nodes_of
from coresplit.machine.placement import place, place_together
from coresplit.models import ModelSpec
from coresplit.records import Cell, Inputs, Machine, Mapping, Variant

PREPARING_MEMORY = 2 * 2**30

Start = Callable[[InstanceSpec], Member]
"""Starts one instance; ``Process`` is the real one."""


class Host(Protocol):
    """What a sweep, a verification or a server needs of the place where its instances run."""

    def clock(self) -> float:
        """Seconds on the monotonic clock that the instances share."""

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell: copies on all cores where it is packed."""

    def start_on(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        """Start an instance on these logical CPUs."""

    def place(self, threads: Sequence[int], mapping: Mapping) -> Sequence[tuple[int, ...]]:
        """The logical CPUs of instances of so many threads that run at the same time."""

    def available_memory(self) -> int:
        """Bytes that are free."""

    def free_for(self, cell: Cell) -> int:
        """Bytes that the instance of a cell can still get: of its NUMA nodes where it is bound."""

    @property
    def together(self) -> int:
        """How many instances may prepare at once."""

    def culprit(self, cpus: Collection[int]) -> str:
        """The process that used these logical CPUs most, of all where none are given; or empty."""


class LocalHost:
    """The usable cores of this machine, for instances of one model.

    ``start_process`` starts an instance. Reads memory, NUMA nodes and other processes when asked.
    """

    def __init__(
        self, model: ModelSpec, machine: Machine, inputs: Inputs, start_process: Start = Process
    ) -> None:
        self._model = model
        self._machine = machine
        self._inputs: Inputs = inputs
        self._start_process = start_process
        self._cores = machine.cores[: machine.usable]
        self._homes = itertools.count()
        self._neighbours = Neighbours()

    def clock(self) -> float:
        """Seconds on the monotonic clock."""
        return time.perf_counter()

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell; those that prepare at once do so on different cores."""
        if cell.setting == "packed":
            copies = self._machine.usable // cell.threads
            places = self.place([cell.threads] * copies, cell.mapping)
            return Pack([self.start_on(cell.variant, cpus) for cpus in places])
        first = cell.threads * next(self._homes) % len(self._cores)
        usable = self._machine.usable_cores
        cpus = place(self._cores, cell.threads, cell.mapping)
        return self._started(cell.variant, cpus, home=usable[first:] + usable[:first])

    def start_on(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        """Start an instance that prepares and runs on these logical CPUs."""
        return self._started(variant, cpus, home=cpus)

    def place(self, threads: Sequence[int], mapping: Mapping) -> Sequence[tuple[int, ...]]:
        """The logical CPUs of instances of so many threads that run at the same time."""
        return place_together(self._cores, threads, mapping)

    def available_memory(self) -> int:
        """Bytes that are free on this machine, or under the limit of its container."""
        return available_memory()

    def free_for(self, cell: Cell) -> int:
        """Bytes that an instance can still get: less than all where its memory is bound."""
        # the copies of a packed cell are spread over all nodes
        bound = self._machine.nodes > 1 and cell.setting == "isolated"
        cpus = place(self._cores, cell.threads, cell.mapping) if bound else ()
        on_nodes = free_memory(nodes_of(cpus, self._machine)) if bound else None
        return available_memory() if on_nodes is None else min(available_memory(), on_nodes)

    @property
    def together(self) -> int:
        """How many instances may prepare at once: one a core, as far as memory goes."""
        return max(1, min(self._machine.usable, available_memory() // PREPARING_MEMORY))

    def culprit(self, cpus: Collection[int]) -> str:
        """The process that used these logical CPUs most, of all where none are given; or empty."""
        return self._neighbours.busiest(cpus)

    def spec_on(
        self,
        variant: Variant,
        cpus: tuple[int, ...],
        serve: Serve | None = None,
        home: tuple[int, ...] | None = None,
    ) -> InstanceSpec:
        """What an instance on these logical CPUs is told."""
        return InstanceSpec(
            model=self._model,
            optimization=variant.optimization,
            cpus=cpus,
            home=cpus if home is None else home,
            nodes=nodes_of(cpus, self._machine) if self._machine.nodes > 1 else (),
            mapping=variant.mapping,
            allocator=variant.allocator,
            inputs=self._inputs,
            serve=serve,
        )

    def _started(self, variant: Variant, cpus: tuple[int, ...], home: tuple[int, ...]) -> Member:
        return self._start_process(self.spec_on(variant, cpus, home=home))
