"""One sweep into one run folder: a fresh one, or an earlier one that is resumed."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.cli.efforts import Kept, NotingSink, by_effort, efforts_of
from coresplit.cli.launching import free_for, launcher_of, together
from coresplit.errors import InstanceError, MismatchError, ModelFault, RunError, UsageError
from coresplit.instance import Interrupt, Ready
from coresplit.machine.cgroups import available_memory
from coresplit.machine.environment import software
from coresplit.machine.fingerprint import differences, fingerprint
from coresplit.machine.inspection import inspect
from coresplit.machine.neighbours import Neighbours
from coresplit.models import MODELS, ModelSpec, describe, form_of, packages_of, validate
from coresplit.models.sources import source_of
from coresplit.optimizations import optimization_named
from coresplit.records import Cell, Machine, ModelInfo, Run, Settings
from coresplit.sweep import (
    Efforts,
    Forecast,
    Launcher,
    Outcome,
    Progress,
    Sweep,
    cells_of,
    forecast,
)


class Session:
    """A run folder open for writing and the instances that were started for it."""

    def __init__(
        self,
        run: Run,
        writer: store.RunWriter,
        launcher: Launcher,
        interrupt: Interrupt,
        *,
        kept: Kept,
        ready: Ready | None,
    ) -> None:
        self.path = writer.path
        self._run = run
        self._writer = writer
        self._launcher = launcher
        self._interrupt = interrupt
        self._kept = kept
        self._ready = ready

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
        launcher = launcher_of(spec, machine, settings.inputs)
        with _ending(launcher, interrupt):
            kept = Kept(spec)
            ready = launcher.probe(
                by_effort(cells_of(settings), spec, kept), together(machine), interrupt
            )
            run = Run(
                name=path.name,
                created_at=time.time(),
                model=model_info(spec, ready),
                settings=settings,
                machine=machine,
                software=software(libraries_of(settings, spec.name)),
                measurements=(),
            )
            return cls(run, store.create(path, run), launcher, interrupt, kept=kept, ready=ready)

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
            launcher = launcher_of(spec, machine, settings.inputs)
            with _ending(launcher, interrupt):
                kept, ready = Kept(spec), None
                missing = _missing(run)
                if missing:
                    missing = by_effort(missing, spec, kept)
                    ready = _probed(launcher, missing, _finished(run), machine, interrupt)
                    require_same(before, machine, model_info(spec, ready))
                if wider != before.settings:
                    libraries = software(libraries_of(wider, spec.name))
                    stored = msgspec.structs.replace(before, settings=wider, software=libraries)
                    writer.rewrite(stored)
                return cls(run, writer, launcher, interrupt, kept=kept, ready=ready)
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
        try:
            return Sweep(
                self._within(reserved_s),
                self._launcher.open,
                NotingSink(self._writer, self._kept),
                available_memory=available_memory,
                free_for=lambda cell: free_for(cell, machine),
                done=self._run.measurements,
                interrupt=self._interrupt,
                on_progress=on_progress,
                together=together(machine),
                efforts=self._efforts(),
                begun=begun,
                culprit=Neighbours().busiest,
            ).run()
        finally:
            self._launcher.close()
            self._writer.close()

    def forecast(self, reserved_s: float = 0.0) -> Forecast:
        """How far the budget will reach, of which ``reserved_s`` are left to what follows.

        A cell that has not been measured is taken to need as long as the first instance that was
        started, per input and core.
        """
        machine, ready = self._run.machine, self._ready
        assert machine is not None
        core_s = ready.input_s * ready.threads if ready is not None else 0.0
        return forecast(
            _missing(self._run),
            self._efforts(),
            lambda cell: core_s * cell.batch / cell.threads,
            together(machine),
            self._within(reserved_s).budget_s,
        )

    def _efforts(self) -> Efforts:
        ready, form = self._ready, form_of(self._run.model.source)
        if ready is None:
            return efforts_of(form, self._kept.names())
        return efforts_of(form, self._kept.names(), ready.start_s + ready.prepare_s)

    def _within(self, reserved_s: float) -> Settings:
        settings = self._run.settings
        if settings.budget_s is None:
            return settings
        return msgspec.structs.replace(settings, budget_s=settings.budget_s - reserved_s)


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
    """What names the model of a run: its inputs stand for the size that was asked for.

    Raises UsageError for Python code that the run folder names, unless ``trust`` allows it: whoever
    wrote the folder chose it.
    """
    if not trust and source_of(run.model.source).kind == "python":
        raise UsageError(
            f"run {run.name} names the Python code '{run.model.source}' as its model: if you "
            "trust it, give --trust"
        )
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


def _missing(run: Run) -> list[Cell]:
    """The cells of a run that are not measured yet."""
    finished = _finished(run)
    return [cell for cell in cells_of(run.settings) if cell not in finished]


def _probed(
    launcher: Launcher,
    missing: Iterable[Cell],
    finished: Collection[Cell],
    machine: Machine,
    interrupt: Interrupt,
) -> Ready:
    """What an instance of the missing cells reads back, else one of those that are finished.

    So that a run goes on, and is seen to be complete, where all that it lacks cannot be prepared.
    """
    try:
        return launcher.probe(missing, together(machine), interrupt)
    except InstanceError as error:
        if isinstance(error, ModelFault) or interrupt.requested or not finished:
            raise
        return launcher.probe(sorted(finished), 1, interrupt)


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


def libraries_of(settings: Settings, model: str) -> tuple[str, ...]:
    """Distributions that a run's results depend on: those of its optimizations and its model."""
    packages = [optimization_named(name).packages for name in settings.optimizations]
    return tuple(dict.fromkeys(["torch", "numpy", *sum(packages, ()), *packages_of(model)]))


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
