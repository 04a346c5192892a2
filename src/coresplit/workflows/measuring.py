"""Measure: from a request to a run folder."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.instance import Host, Interrupt
from coresplit.models import describe
from coresplit.sweep import Forecast, Outcome, Progress
from coresplit.workflows.conditions import require_same, spec_again
from coresplit.workflows.places import host_for, machine_for
from coresplit.workflows.request import (
    BenchRequest,
    Note,
    extended,
    refuse_other_model,
    refuse_settled,
    settings_of,
    spec_of,
)
from coresplit.workflows.reserving import Cores
from coresplit.workflows.session import Session

PROOF_SHARE = 1 / 3
"""Share of the budget of a quick run that the sweep leaves for the verification."""
UNLIMITED_PROOF_S = 60.0
"""Budget of the verification in a quick run without a budget."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The run folder that was written, how the sweep ended, and when the budget began.

    ``begun`` is in seconds on the clock of ``host``.
    """

    path: Path
    outcome: Outcome
    host: Host
    begun: float

    def left_s(self, budget_s: float | None, otherwise: float = UNLIMITED_PROOF_S) -> float:
        """Return the seconds left of the budget; ``otherwise`` if there is no budget."""
        return otherwise if budget_s is None else budget_s - (self.host.clock() - self.begun)


class Measuring:
    """A sweep that is ready to run: instances are started, nothing is measured yet."""

    def __init__(self, session: Session, request: BenchRequest, host: Host, begun: float) -> None:
        self._session = session
        self._request = request
        self._host = host
        self._begun = begun
        budget = request.budget_s or 0.0
        self._reserved_s = PROOF_SHARE * budget if request.quick else 0.0

    @property
    def model(self) -> str:
        """The source of the measured model, as in its spec."""
        return self._session.model

    def forecast(self) -> Forecast:
        """Predict how many cells the budget covers."""
        return self._session.forecast(self._reserved_s)

    def run(self, interrupt: Interrupt, on_progress: Callable[[Progress], None]) -> Measured:
        """Measure until everything is settled, the budget is spent, or an interrupt comes."""
        outcome = self._session.run(self._begun, interrupt, on_progress, self._reserved_s)
        return Measured(
            path=self._session.path, outcome=outcome, host=self._host, begun=self._begun
        )

    def close(self) -> None:
        """Stop what was started; harmless after ``run``."""
        self._session.close()


def prepare(request: BenchRequest, interrupt: Interrupt, cores: Cores, note: Note) -> Measuring:
    """Check the request, reserve its cores, and start its first instances.

    Raises UsageError for an impossible request, EnvironmentFault if something is missing,
    CoresInUse if another process measures, and the errors of resuming a run folder.
    """
    return (
        _resumed(request, interrupt, cores, note)
        if request.resume
        else _fresh(request, interrupt, cores, note)
    )


def _fresh(request: BenchRequest, interrupt: Interrupt, cores: Cores, note: Note) -> Measuring:
    spec = spec_of(request)
    machine = machine_for(spec.name)
    settings = settings_of(request, machine, note)
    cores.reserve(spec.name, machine)
    host = host_for(spec, machine, settings.inputs)
    begun = host.clock()
    path = (
        request.out or Path("runs") / f"{describe(spec.name)[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
    )
    session = Session.fresh(
        spec=spec, settings=settings, machine=machine, path=path, host=host, interrupt=interrupt
    )
    return Measuring(session, request, host, begun)


def _resumed(request: BenchRequest, interrupt: Interrupt, cores: Cores, note: Note) -> Measuring:
    assert request.resume is not None
    refuse_settled(request)
    before, writer = store.reopen(request.resume)
    try:
        refuse_other_model(before, request)
        machine = machine_for(before.model.source)
        require_same(before, machine, before.model)
        spec = spec_again(before, request.weights, request.trust)
        wider = extended(before, request, machine, note)
        settings = msgspec.structs.replace(wider, budget_s=request.budget_s)
        cores.reserve(spec.name, machine)
        host = host_for(spec, machine, settings.inputs)
        begun = host.clock()
        session = Session.resumed(
            before=before,
            writer=writer,
            spec=spec,
            settings=settings,
            machine=machine,
            host=host,
            interrupt=interrupt,
        )
    except BaseException:
        writer.close()
        raise
    return Measuring(session, request, host, begun)
