"""Real pinned processes running the real model on small images."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from coresplit.errors import (
    InstanceDied,
    InstanceTimeout,
    ReadbackMismatch,
    UsageError,
)
from coresplit.instance import InstanceSpec, Interrupt, Process
from coresplit.instance.worker import loaded_allocator
from coresplit.machine.inspect import inspect
from coresplit.models import ModelSpec

pytestmark = pytest.mark.slow

CORES = inspect().usable_cores
SMALL = ModelSpec(name="inception", input_size=75)


def spec(threads: int = 1, **changes: object) -> InstanceSpec:
    base = InstanceSpec(model=SMALL, optimization="none", cpus=CORES[:threads], home=CORES)
    return msgspec.structs.replace(base, **changes)


@pytest.fixture(scope="module")
def shared() -> Iterator[Process]:
    """One instance on all cores for the tests that leave it as it was."""
    process = Process(spec(threads=len(CORES), optimization="script"))
    yield process
    process.close()


@pytest.fixture
def own() -> Iterator[Process]:
    """One instance that a test may end."""
    process = Process(spec())
    yield process
    process.close()


def test_an_instance_reads_back_what_was_asked(shared: Process) -> None:
    ready = shared.wait_ready()
    assert ready.threads == len(CORES)
    assert ready.interop_threads == 1
    assert ready.cpus == tuple(sorted(CORES))
    assert ready.allocator == "default"
    assert ready.parameters == 23_834_568
    assert ready.input_shape == (3, 75, 75)
    assert 0 < ready.error < 1e-3
    assert ready.largest_tensor > 0


def test_every_busy_thread_has_a_core_of_its_own(shared: Process) -> None:
    timed = shared.forwards(batch=8, count=12, seconds=60, timeout=60)
    assert len(timed.durations) == 12
    assert min(timed.durations) > 0
    assert sorted(timed.evidence.thread_cores) == sorted(str(cpu) for cpu in CORES)
    assert timed.evidence.threads == len(CORES)


def test_evidence_counts_the_forwards(shared: Process) -> None:
    timed = shared.forwards(batch=4, count=6, seconds=60, timeout=60)
    evidence = timed.evidence
    assert evidence.forwards == 6
    assert evidence.wall_s >= sum(timed.durations)
    assert evidence.user_s > 0
    assert evidence.peak_memory > 100 * 2**20
    assert abs(evidence.started_at - time.time()) < 60


def test_no_forward_starts_after_the_seconds_given(shared: Process) -> None:
    timed = shared.forwards(batch=1, count=10**6, seconds=0.2, timeout=60)
    assert sum(timed.durations[:-1]) <= 0.2


def test_peak_memory_falls_again_after_a_large_batch(shared: Process) -> None:
    large = shared.forwards(batch=128, count=1, seconds=60, timeout=120).evidence.peak_memory
    small = shared.forwards(batch=1, count=1, seconds=60, timeout=60).evidence.peak_memory
    assert small < large - 50 * 2**20


def test_a_killed_instance_is_one_typed_failure(own: Process) -> None:
    own.wait_ready()
    os.kill(own.pid, signal.SIGKILL)
    with pytest.raises(InstanceDied) as caught:
        own.forwards(batch=1, count=1, seconds=1, timeout=30)
    assert str(caught.value) == (
        "instance none t=1 was ended by SIGKILL (the kernel does so when memory runs out)"
    )


def test_a_crash_leaves_its_last_words(own: Process) -> None:
    own.wait_ready()
    os.kill(own.pid, signal.SIGSEGV)
    with pytest.raises(InstanceDied, match=r"was ended by SIGSEGV: .+"):
        own.forwards(batch=1, count=1, seconds=1, timeout=30)


def test_a_forward_past_its_deadline_ends_the_process(own: Process) -> None:
    own.wait_ready()
    with pytest.raises(InstanceTimeout, match="did not answer in time and was ended"):
        own.forwards(batch=256, count=100, seconds=100, timeout=0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(own.pid, 0)


def test_an_interrupt_lets_a_short_forward_finish(own: Process) -> None:
    own.wait_ready()
    with Interrupt() as interrupt:
        interrupt.request()
        timed = own.forwards(batch=1, count=1, seconds=1, timeout=30, interrupt=interrupt)
    assert len(timed.durations) == 1


def test_an_allocator_that_is_not_there_is_found_out() -> None:
    process = Process(spec(allocator="tcmalloc"))
    try:
        with pytest.raises(ReadbackMismatch) as caught:
            process.wait_ready()
    finally:
        process.close()
    assert str(caught.value) == (
        "instance none t=1: asked for allocator tcmalloc, but it runs with default"
    )


def test_a_checkpoint_that_is_none_is_the_users_mistake(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"not a checkpoint")
    model = msgspec.structs.replace(SMALL, weights=str(file))
    process = Process(spec(model=model))
    try:
        with pytest.raises(UsageError, match="weights"):
            process.wait_ready()
    finally:
        process.close()


def test_thread_settings_of_the_caller_do_not_reach_the_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_PLACES", "{5}")
    monkeypatch.setenv("KMP_AFFINITY", "disabled")
    process = Process(spec())
    try:
        assert process.wait_ready().threads == 1
    finally:
        process.close()


def test_an_instance_does_not_outlive_a_killed_parent() -> None:
    script = (
        "import sys, time\n"
        "from coresplit.instance import InstanceSpec, Process\n"
        "from coresplit.models import ModelSpec\n"
        f"process = Process(InstanceSpec(model=ModelSpec(name='inception', input_size=75), "
        f"optimization='none', cpus=({CORES[0]},), home=({CORES[0]},)))\n"
        "process.wait_ready()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_the_allocator_is_read_from_the_memory_map(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/libtcmalloc_minimal.so.4\n")
    assert loaded_allocator(maps) == "tcmalloc"
    maps.write_text("7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6\n")
    assert loaded_allocator(maps) == "default"
