"""Cores that one measurement holds and others do not get."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coresplit.errors import CoresInUse
from coresplit.machine.reservation import SHARED, Reservation

HOLD = """
import sys, time
from coresplit.machine.reservation import Reservation
held = Reservation()
held.take([int(core) for core in sys.argv[1:]])
print("held", flush=True)
time.sleep(60)
"""
FAR = 70_000
"""No machine has these cores, so that no real sweep is disturbed."""


@pytest.fixture(autouse=True)
def exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED, raising=False)


@pytest.fixture
def holder() -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds two cores."""
    core = FAR + os.getpid() % 1000 * 10
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(core), str(core + 1)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def cores_of(process: "subprocess.Popen[str]") -> tuple[int, int]:
    arguments = process.args
    assert isinstance(arguments, list)
    return int(arguments[-2]), int(arguments[-1])


def test_cores_in_use_are_refused_and_their_holder_is_named(
    holder: "subprocess.Popen[str]",
) -> None:
    first, second = cores_of(holder)
    with Reservation() as own, pytest.raises(CoresInUse) as caught:
        own.take([first, second])
    assert f"process {holder.pid}" in str(caught.value)
    assert f"{first}-{second}" in str(caught.value)


def test_all_cores_are_taken_or_none(holder: "subprocess.Popen[str]") -> None:
    first, second = cores_of(holder)
    free = second + 1
    with Reservation() as own, Reservation() as other:
        with pytest.raises(CoresInUse):
            own.take([free, first])
        other.take([free])


def test_other_cores_can_be_measured_on_side_by_side(holder: "subprocess.Popen[str]") -> None:
    _, second = cores_of(holder)
    with Reservation() as own:
        own.take([second + 1, second + 2])


def test_what_is_held_can_be_taken_again_and_is_free_when_closed() -> None:
    core = FAR + 9_000_000 + os.getpid()
    with Reservation() as own:
        own.take([core])
        own.take([core, core + 1])
        with Reservation() as other, pytest.raises(CoresInUse):
            other.take([core])
    with Reservation() as other:
        other.take([core, core + 1])


def test_a_killed_holder_leaves_nothing_behind(holder: "subprocess.Popen[str]") -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with Reservation() as own:
        own.take(cores_of(holder))


def test_two_threads_of_one_core_are_one_core(tmp_path: Path) -> None:
    core = 200_000 + os.getpid() % 100_000 * 2
    for cpu in (core, core + 1):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "core_cpus_list").write_text(f"{core}-{core + 1}\n")
    with Reservation() as own, Reservation() as other:
        own.take([core], tmp_path)
        with pytest.raises(CoresInUse):
            other.take([core + 1], tmp_path)


def test_a_variable_lets_measurements_share_cores(
    holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, "1")
    with Reservation() as own:
        own.take(cores_of(holder))
