"""One sweep into one run folder, a new one or a resumed one."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.errors import InstanceError, ModelFault
from coresplit.instance import Host, Interrupt, Ready
from coresplit.machine.environment import software
from coresplit.models import ModelSpec, form_of
from coresplit.records import Cell, Machine, Run, Settings
from coresplit.sweep import (
    Efforts,
    Forecast,
    Outcome,
    Progress,
    Started,
    Sweep,
    cells_of,
    close_all,
    forecast,
    probe,
)
from coresplit.workflows.conditions import libraries_of, model_info, require_same
from coresplit.workflows.efforts import Kept, NotingSink, by_effort, efforts_of


class Session:
    """A run folder open for writing, the host of its instances, and the instances started."""

    def __init__(
        self,
        run: Run,
        writer: store.RunWriter,
        host: Host,
        *,
        started: Started,
        kept: Kept,
        ready: Ready | None,
    ) -> None:
        self.path = writer.path
        self._run = run
        self._writer = writer
        self._host = host
        self._started = started
        self._kept = kept
        self._ready = ready

    @property
    def model(self) -> str:
        """The source of the model of the run, as in its spec."""
        return self._run.model.source

    @classmethod
    def fresh(
        cls,
        *,
        spec: ModelSpec,
        settings: Settings,
        machine: Machine,
        path: Path,
        host: Host,
        interrupt: Interrupt,
    ) -> "Session":
        """Start instances, read back the model's properties, and only then make the run folder.

        ``spec`` and ``settings`` were checked against ``machine`` by the caller.
        """
        store.require_new(path)
        kept = Kept(spec)
        with _interruptible(interrupt):
            ready, started = probe(host, by_effort(cells_of(settings), spec, kept), interrupt)
        with _ending(started):
            run = Run(
                name=path.name,
                created_at=time.time(),
                model=model_info(spec, ready),
                settings=settings,
                machine=machine,
                software=software(libraries_of(settings, spec.name)),
                measurements=(),
            )
            writer = store.create(path, run)
            return cls(run, writer, host, started=started, kept=kept, ready=ready)

    @classmethod
    def resumed(
        cls,
        *,
        before: Run,
        writer: store.RunWriter,
        spec: ModelSpec,
        settings: Settings,
        machine: Machine,
        host: Host,
        interrupt: Interrupt,
    ) -> "Session":
        """Resume the run ``before``, open in ``writer``, with settings that include its own.

        The run was measured on this machine, and ``spec`` is its model as far as can be checked
        without loading it. Raises MismatchError with the differences if it is another model.
        """
        budget = before.settings.budget_s
        stored = msgspec.structs.replace(settings, budget_s=budget)
        run = msgspec.structs.replace(before, settings=settings)
        kept, missing = Kept(spec), _missing(run)
        ready: Ready | None = None
        started: Started = {}
        if missing:
            with _interruptible(interrupt):
                ready, started = _probed(
                    host, by_effort(missing, spec, kept), _finished(run), interrupt
                )
        with _ending(started):
            if ready is not None:
                require_same(before, machine, model_info(spec, ready))
            if stored != before.settings:
                libraries = software(libraries_of(stored, spec.name))
                writer.rewrite(msgspec.structs.replace(before, settings=stored, software=libraries))
            return cls(run, writer, host, started=started, kept=kept, ready=ready)

    def run(
        self,
        begun: float,
        interrupt: Interrupt,
        on_progress: Callable[[Progress], None],
        reserved_s: float = 0.0,
    ) -> Outcome:
        """Measure; ``begun`` is when the budget began on the clock of the host.

        ``reserved_s`` seconds of the budget are left for what follows.
        """
        try:
            return Sweep(
                self._within(reserved_s),
                self._host,
                NotingSink(self._writer, self._kept),
                started=self._started,
                done=self._run.measurements,
                efforts=self._efforts(),
                begun=begun,
                interrupt=interrupt,
                on_progress=on_progress,
            ).run()
        finally:
            self.close()

    def close(self) -> None:
        """Stop the remaining instances and close the writer; harmless if done already."""
        close_all(self._started)
        self._writer.close()

    def forecast(self, reserved_s: float = 0.0) -> Forecast:
        """Predict how many cells the budget, less ``reserved_s`` seconds, covers.

        A cell that has not been measured is assumed to take as long, per input and core, as the
        first instance that was started.
        """
        ready = self._ready
        core_s = ready.input_s * ready.threads if ready is not None else 0.0
        return forecast(
            _missing(self._run),
            self._efforts(),
            lambda cell: core_s * cell.batch / cell.threads,
            self._host.together,
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
def _ending(started: Started) -> Iterator[None]:
    """Stop the started instances on any error."""
    try:
        yield
    except BaseException:
        close_all(started)
        raise


@contextmanager
def _interruptible(interrupt: Interrupt) -> Iterator[None]:
    """Raise KeyboardInterrupt if a start failed because of an interrupt."""
    try:
        yield
    except InstanceError as error:
        if interrupt.requested:
            raise KeyboardInterrupt from error
        raise


def _finished(run: Run) -> set[Cell]:
    return {each.cell for each in run.measurements if each.verdict == "measured"}


def _missing(run: Run) -> list[Cell]:
    """Return the cells of a run that are not measured yet."""
    finished = _finished(run)
    return [cell for cell in cells_of(run.settings) if cell not in finished]


def _probed(
    host: Host, missing: Iterable[Cell], finished: Collection[Cell], interrupt: Interrupt
) -> tuple[Ready, Started]:
    """Start an instance of the missing cells or, if none can be prepared, of the finished ones.

    This way a run continues, and can end as complete, if no missing cell can be prepared.
    """
    try:
        return probe(host, missing, interrupt)
    except InstanceError as error:
        if isinstance(error, ModelFault) or interrupt.requested or not finished:
            raise
        return probe(host, sorted(finished), interrupt)
