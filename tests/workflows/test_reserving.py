"""Two measurements on the same cores: the second refuses by name, or waits."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from coresplit.errors import CoresInUse
from coresplit.instance import Interrupt
from coresplit.machine.inspection import inspect
from coresplit.machine.reservation import SHARED, Reservation
from coresplit.records import Core, Machine
from coresplit.workflows.reserving import Cores

MODEL = "inception"


def ignore(line: str) -> None:
    """Hears what is of no use here."""


Coresplit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose one core no other process of this one has."""
    monkeypatch.delenv(SHARED, raising=False)
    core = Core(cpu=80_000 + os.getpid() % 100_000)
    return msgspec.structs.replace(inspect(), cores=(core,), usable=1)


def test_a_second_sweep_refuses_by_name_and_starts_nothing(
    coresplit: Coresplit, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coresplit.workflows.places.inspect", lambda: machine)
    out = tmp_path / "run"
    with Reservation() as other:
        other.take(machine.usable_cores)
        code, printed, said = coresplit("bench", "inception", "--out", out)
    assert (code, printed) == (2, "")
    assert f"process {os.getpid()}" in said
    assert "--wait" in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_sweep_that_waits_begins_once_the_cores_are_free(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    other = Reservation()
    other.take(machine.usable_cores)
    monkeypatch.setattr("coresplit.workflows.reserving.time.sleep", lambda seconds: other.close())
    with Interrupt() as interrupt, Cores(interrupt, wait=True, note=said.append) as cores:
        cores.reserve(MODEL, machine)
        with Reservation() as third, pytest.raises(CoresInUse):
            third.take(machine.usable_cores)
    assert len(said) == 1 and "waiting" in said[0]


def test_waiting_ends_with_an_interrupt(machine: Machine) -> None:
    with (
        Interrupt() as interrupt,
        Reservation() as other,
        Cores(interrupt, wait=True, note=ignore) as cores,
    ):
        other.take(machine.usable_cores)
        interrupt.request()
        with pytest.raises(KeyboardInterrupt):
            cores.reserve(MODEL, machine)


def test_cores_are_free_when_the_command_has_ended(machine: Machine) -> None:
    with Interrupt() as interrupt, Cores(interrupt, wait=False, note=ignore) as cores:
        cores.reserve(MODEL, machine)
        cores.reserve(MODEL, machine)
    with Reservation() as other:
        other.take(machine.usable_cores)
