"""One sweep into one run folder: a fresh one, or an earlier one that is resumed."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.errors import InstanceError, MismatchError, RunError
from coresplit.instance import Instance, InstanceSpec, Interrupt, Pack, Process, Ready
from coresplit.machine.cgroups import available_memory
from coresplit.machine.inspect import differences, fingerprint, inspect
from coresplit.machine.numa import free_memory, nodes_of
from coresplit.machine.placement import place, place_together
from coresplit.machine.software import software
from coresplit.models import MODELS, ModelSpec, describe, packages_of, validate
from coresplit.optimizations import optimization_named
from coresplit.records import Cell, Inputs, Machine, ModelInfo, Run, Settings
from coresplit.sweep import Launcher, Outcome, Progress, Sweep, cells_of

PREPARING_MEMORY = 2 * 2**30


class Session:
    """A run folder open for writing and the instances that were started for it."""

    def __init__(
        self, run: Run, writer: store.RunWriter, launcher: Launcher, interrupt: Interrupt
    ) -> None:
        self.path = writer.path
        self._run = run
        self._writer = writer
        self._launcher = launcher
        self._interrupt = interrupt

    @classmethod
    def fresh(
        cls,
        spec: ModelSpec,
        settings: Settings,
        machine: Machine,
        path: Path,
        interrupt: Interrupt,
    ) -> "Session":
        """Start instances, learn what the model is, and only then make the run folder.

        ``spec`` and ``settings`` were checked against ``machine`` by the caller.
        """
        store.require_new(path)
        launcher = _launcher(spec, machine, settings.inputs)
        with _ending(launcher, interrupt):
            ready = launcher.probe(cells_of(settings), together(machine), interrupt)
            run = Run(
                name=path.name,
                created_at=time.time(),
                model=model_info(spec, ready),
                settings=settings,
                machine=machine,
                software=software(libraries_of(settings, spec.name)),
                measurements=(),
            )
            return cls(run, store.create(path, run), launcher, interrupt)

    @classmethod
    def resumed(
        cls,
        path: Path,
        *,
        weights: str | None,
        trust: bool,
        budget_s: float | None,
        interrupt: Interrupt,
        extend: Callable[[Run, Machine], Settings] = lambda run, machine: run.settings,
    ) -> "Session":
        """Go on with a run folder, measured on this machine and model and no other.

        ``weights`` and ``trust`` must be given again where the run needed them. ``extend`` gives
        the settings to go on with, of which those of the run are a part. Raises MismatchError
        with the differences.
        """
        before, writer = store.reopen(path)
        machine = inspect()
        try:
            require_same(before, machine, before.model)
            spec = spec_again(before, weights, trust)
            wider = extend(before, machine)
            settings = msgspec.structs.replace(wider, budget_s=budget_s)
            run = msgspec.structs.replace(before, settings=settings)
            launcher = _launcher(spec, machine, settings.inputs)
            with _ending(launcher, interrupt):
                finished = _finished(before)
                missing = [cell for cell in cells_of(settings) if cell not in finished]
                if missing:
                    ready = launcher.probe(missing, together(machine), interrupt)
                    require_same(before, machine, model_info(spec, ready))
                if wider != before.settings:
                    libraries = software(libraries_of(wider, spec.name))
                    stored = msgspec.structs.replace(before, settings=wider, software=libraries)
                    writer.rewrite(stored)
                return cls(run, writer, launcher, interrupt)
        except BaseException:
            writer.close()
            raise

    def run(
        self, begun: float, on_progress: Callable[[Progress], None], reserved_s: float = 0.0
    ) -> Outcome:
        """Measure; ``begun`` is when the budget began on the monotonic clock.

        ``reserved_s`` of the budget are left to what follows.
        """
        machine = self._run.machine
        assert machine is not None
        settings = self._run.settings
        if settings.budget_s is not None:
            budget_s = settings.budget_s - reserved_s
            settings = msgspec.structs.replace(settings, budget_s=budget_s)
        try:
            return Sweep(
                settings,
                self._launcher.open,
                self._writer,
                available_memory=available_memory,
                free_for=lambda cell: _free_for(cell, machine),
                done=self._run.measurements,
                interrupt=self._interrupt,
                on_progress=on_progress,
                together=together(machine),
                begun=begun,
            ).run()
        finally:
            self._launcher.close()
            self._writer.close()


@contextmanager
def _ending(launcher: Launcher, interrupt: Interrupt) -> Iterator[None]:
    """End the instances on any error, and call an interrupted start what it is."""
    try:
        yield
    except BaseException as error:
        launcher.close()
        if isinstance(error, InstanceError) and interrupt.requested:
            raise KeyboardInterrupt from error
        raise


def spec_again(run: Run, weights: str | None, trust: bool) -> ModelSpec:
    """What names the model of a run: its inputs stand for the size that was asked for."""
    built_in = run.model.source in MODELS
    spec = ModelSpec(
        name=run.model.source,
        size=run.model.inputs[0].shape[-1] if built_in else None,
        inputs=() if built_in else run.model.inputs,
        weights=weights,
        seed=run.settings.seed,
        trust=trust,
    )
    validate(spec)
    return spec


def _finished(run: Run) -> set[Cell]:
    return {each.cell for each in run.measurements if each.verdict == "measured"}


def require_same(run: Run, machine: Machine, model: ModelInfo) -> None:
    """Raise MismatchError, with the differences, unless the run is of this machine and model."""
    if run.machine is None:
        raise RunError(f"run {run.name} was imported from tables: nothing of it can be run here")
    there = fingerprint(run.machine, run.software, run.model)
    here = software(libraries_of(run.settings, run.model.source))
    different = differences(there, fingerprint(machine, here, model))
    if different:
        raise MismatchError(
            f"run {run.name} was measured under other conditions: {'; '.join(different)}; "
            "start a new run instead"
        )


def _nodes(cell: Cell, machine: Machine) -> tuple[int, ...]:
    """The NUMA nodes that the memory of a cell's instance is bound to; none on a single one."""
    if machine.nodes < 2:
        return ()
    return nodes_of(place(machine.cores[: machine.usable], cell.threads, cell.mapping), machine)


def _free_for(cell: Cell, machine: Machine) -> int:
    """Bytes that an instance can still get: less than all where its memory is bound to nodes."""
    # the copies of a packed cell are spread over all nodes
    nodes = _nodes(cell, machine) if cell.setting == "isolated" else ()
    on_nodes = free_memory(nodes) if nodes else None
    return available_memory() if on_nodes is None else min(available_memory(), on_nodes)


def libraries_of(settings: Settings, model: str) -> tuple[str, ...]:
    """Distributions that a run's results depend on: those of its optimizations and its model."""
    packages = [optimization_named(name).packages for name in settings.optimizations]
    return tuple(dict.fromkeys(["torch", "numpy", *sum(packages, ()), *packages_of(model)]))


def together(machine: Machine) -> int:
    """How many instances may prepare at once: one a core, as far as memory goes."""
    return max(1, min(machine.usable, available_memory() // PREPARING_MEMORY))


def model_info(spec: ModelSpec, ready: Ready) -> ModelInfo:
    """What the run folder says of the model."""
    name, title = describe(spec.name)
    return ModelInfo(
        name=name,
        title=title,
        source=spec.name,
        inputs=ready.inputs,
        flops=ready.flops,
        parameters=ready.parameters,
        weights=ready.weights,
        largest_tensor=ready.largest_tensor,
    )


def _launcher(spec: ModelSpec, machine: Machine, inputs: Inputs) -> Launcher:
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
