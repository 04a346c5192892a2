"""Starting the instances of a model on the cores of this machine."""

import itertools

from coresplit.instance import Instance, InstanceSpec, Pack, Process
from coresplit.machine.cgroups import available_memory
from coresplit.machine.numa import free_memory, nodes_of
from coresplit.machine.placement import place, place_together
from coresplit.models import ModelSpec
from coresplit.records import Cell, Inputs, Machine
from coresplit.sweep import Launcher

PREPARING_MEMORY = 2 * 2**30


def _nodes(cell: Cell, machine: Machine) -> tuple[int, ...]:
    """The NUMA nodes that the memory of a cell's instance is bound to; none on a single one."""
    if machine.nodes < 2:
        return ()
    return nodes_of(place(machine.cores[: machine.usable], cell.threads, cell.mapping), machine)


def free_for(cell: Cell, machine: Machine) -> int:
    """Bytes that an instance can still get: less than all where its memory is bound to nodes."""
    # the copies of a packed cell are spread over all nodes
    nodes = _nodes(cell, machine) if cell.setting == "isolated" else ()
    on_nodes = free_memory(nodes) if nodes else None
    return available_memory() if on_nodes is None else min(available_memory(), on_nodes)


def together(machine: Machine) -> int:
    """How many instances may prepare at once: one a core, as far as memory goes."""
    return max(1, min(machine.usable, available_memory() // PREPARING_MEMORY))


def launcher_of(spec: ModelSpec, machine: Machine, inputs: Inputs) -> Launcher:
    """What opens instances of a model on the usable cores: copies on all of them where packed."""
    cores = machine.cores[: machine.usable]
    homes = itertools.count()

    def start(cell: Cell) -> Instance:
        if cell.setting == "packed":
            each = [cell.threads] * (machine.usable // cell.threads)
            return Pack(
                [
                    Process(instance_spec(spec, cell, cpus, cpus, machine, inputs=inputs))
                    for cpus in place_together(cores, each, cell.mapping)
                ]
            )
        first = cell.threads * next(homes) % len(cores)
        # instances that prepare at once do so on different cores
        home = machine.usable_cores[first:] + machine.usable_cores[:first]
        cpus = place(cores, cell.threads, cell.mapping)
        return Process(instance_spec(spec, cell, cpus, home, machine, inputs=inputs))

    return Launcher(start)


def instance_spec(
    model: ModelSpec,
    cell: Cell,
    cpus: tuple[int, ...],
    home: tuple[int, ...],
    machine: Machine,
    *,
    inputs: Inputs,
) -> InstanceSpec:
    """The instance of a cell on these logical CPUs; its memory is bound where there are nodes."""
    return InstanceSpec(
        model=model,
        optimization=cell.optimization,
        cpus=cpus,
        home=home,
        nodes=nodes_of(cpus, machine) if machine.nodes > 1 else (),
        mapping=cell.mapping,
        allocator=cell.allocator,
        inputs=inputs,
    )
