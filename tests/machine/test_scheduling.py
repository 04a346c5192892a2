"""A process that steps back is brought back by its parent, whatever it can do itself."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coresplit.machine.scheduling import may_return, step_back

THREADS = """
import threading, time
for _ in range(2):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("started", flush=True)
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(not may_return(), reason="this user may not come back")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", THREADS], stdout=subprocess.PIPE) as found:
        yield found
        found.kill()


def policies(process: subprocess.Popen[bytes]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [os.sched_getscheduler(int(task.name)) for task in tasks]


def test_all_threads_come_back_after_a_while(process: subprocess.Popen[bytes]) -> None:
    step_back(process, 1.0)
    assert policies(process) == [os.SCHED_IDLE]
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while set(policies(process)) != {os.sched_getscheduler(0)}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(policies(process)) == 3


def test_a_process_that_gets_no_core_comes_back_at_once_and_one_that_sleeps_does_not() -> None:
    cpu = max(os.sched_getaffinity(0))
    busy = f"import os, time; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    with (
        subprocess.Popen([sys.executable, "-c", busy]) as holding,
        subprocess.Popen([sys.executable, "-c", busy]) as starved,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as asleep,
    ):
        try:
            for process in (holding, starved):
                while os.sched_getaffinity(process.pid) != {cpu}:
                    time.sleep(0.01)
            for process in (starved, asleep):
                step_back(process, 3600.0)
            deadline = time.monotonic() + 60
            while policies(starved) != [os.sched_getscheduler(0)]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert policies(asleep) == [os.SCHED_IDLE]
        finally:
            for process in (holding, starved, asleep):
                process.kill()


def test_a_process_that_has_ended_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    step_back(process, 0.1)
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert process.returncode < 0
