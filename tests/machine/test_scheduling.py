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


def test_a_process_that_hardly_computes_comes_back_at_once_and_one_that_does_in_time() -> None:
    """One waits and would not be brought back for an hour, the other has a core for itself."""
    kinds = {"time.sleep(60)": 3600.0, "\nwhile True: pass": 1.0}
    for program, longest_s in kinds.items():
        with subprocess.Popen([sys.executable, "-c", f"import time; {program}"]) as process:
            try:
                step_back(process, longest_s)
                deadline = time.monotonic() + 60
                while policies(process) != [os.sched_getscheduler(0)]:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            finally:
                process.kill()


def test_a_process_that_has_ended_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    step_back(process, 0.1)
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert process.returncode < 0
