"""The host of instances: starts and places them, knows free memory and disturbing processes."""

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
    """The host that a sweep, a verification or a server runs its instances on."""

    def clock(self) -> float:
        """Return the seconds of the monotonic clock that the instances share."""

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell; for a packed cell, copies on all cores."""

    def start_on(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        """Start an instance on these logical CPUs."""

    def place(self, threads: Sequence[int], mapping: Mapping) -> Sequence[tuple[int, ...]]:
        """Return the logical CPUs of instances with these thread counts that run together."""

    def available_memory(self) -> int:
        """Return the free memory in bytes."""

    def free_for(self, cell: Cell) -> int:
        """Return the bytes free for the instance of a cell, on its NUMA nodes if it is bound."""

    @property
    def together(self) -> int:
        """How many instances may prepare at once."""

    def culprit(self, cpus: Collection[int]) -> str:
        """Return the process that used these CPUs most, or all CPUs if none given; may be empty."""


class LocalHost:
    """The usable cores of this machine, for instances of one model.

    ``start_process`` starts an instance. Memory, NUMA nodes and other processes are read on demand.
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
        """Return the seconds of the monotonic clock."""
        return time.perf_counter()

    def start(self, cell: Cell) -> Instance:
        """Start the instance of a cell; instances that prepare together use different cores."""
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
        """Return the logical CPUs of instances with these thread counts that run together."""
        return place_together(self._cores, threads, mapping)

    def available_memory(self) -> int:
        """Return the bytes free on this machine or within the limit of its container."""
        return available_memory()

    def free_for(self, cell: Cell) -> int:
        """Return the bytes free for an instance, on its NUMA nodes if its memory is bound."""
        # the copies of a packed cell are spread over all nodes
        bound = self._machine.nodes > 1 and cell.setting == "isolated"
        cpus = place(self._cores, cell.threads, cell.mapping) if bound else ()
        on_nodes = free_memory(nodes_of(cpus, self._machine)) if bound else None
        return available_memory() if on_nodes is None else min(available_memory(), on_nodes)

    @property
    def together(self) -> int:
        """How many instances may prepare at once: one per core, if memory allows."""
        return max(1, min(self._machine.usable, available_memory() // PREPARING_MEMORY))

    def culprit(self, cpus: Collection[int]) -> str:
        """Return the process that used these CPUs most, or all CPUs if none given; may be empty."""
        return self._neighbours.busiest(cpus)

    def spec_on(
        self,
        variant: Variant,
        cpus: tuple[int, ...],
        serve: Serve | None = None,
        home: tuple[int, ...] | None = None,
    ) -> InstanceSpec:
        """Return the settings of an instance on these logical CPUs."""
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
