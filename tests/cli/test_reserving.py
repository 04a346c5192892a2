"""Two measurements on the same cores: the second refuses by name, or waits."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from coresplit.cli.reserving import Cores
from coresplit.errors import CoresInUse
from coresplit.instance import Interrupt
from coresplit.machine.inspection import inspect
from coresplit.machine.reservation import SHARED, Reservation
from coresplit.records import Core, Machine

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
    monkeypatch.setattr("coresplit.cli.commands.bench.inspect", lambda: machine)
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
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Reservation()
    other.take(machine.usable_cores)
    monkeypatch.setattr("coresplit.cli.reserving.time.sleep", lambda seconds: other.close())
    begun = time.monotonic()
    with Interrupt() as interrupt, Cores(interrupt, wait=True) as cores:
        cores.reserve(machine)
        assert cores.reserved_at >= begun
        with Reservation() as third, pytest.raises(CoresInUse):
            third.take(machine.usable_cores)
    assert "waiting" in capsys.readouterr().err


def test_waiting_ends_with_an_interrupt(machine: Machine) -> None:
    with (
        Interrupt() as interrupt,
        Reservation() as other,
        Cores(interrupt, wait=True) as cores,
    ):
        other.take(machine.usable_cores)
        interrupt.request()
        with pytest.raises(KeyboardInterrupt):
            cores.reserve(machine)


def test_cores_are_free_when_the_command_has_ended(machine: Machine) -> None:
    with Interrupt() as interrupt, Cores(interrupt, wait=False) as cores:
        cores.reserve(machine)
        cores.reserve(machine)
    with Reservation() as other:
        other.take(machine.usable_cores)
