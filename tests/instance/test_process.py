"""Real pinned processes running the real model on small images."""

import json
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
    PrepareFailed,
    ReadbackMismatch,
    UsageError,
)
from coresplit.instance import InstanceSpec, Interrupt, Process
from coresplit.instance import process as process_module
from coresplit.instance.child.turns import inputs_wanted
from coresplit.instance.readback import check_threads
from coresplit.machine.allocators import usable_allocators
from coresplit.machine.environment import instance_environment
from coresplit.machine.inspection import inspect
from coresplit.machine.topology import cpu_flags, last_level_cache, parse_cpu_list
from coresplit.models import ModelSpec
from coresplit.records import ModelInput

pytestmark = pytest.mark.slow

CORES = inspect().usable_cores
SMALL = ModelSpec(name="inception", size=75)


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


def test_an_instance_is_a_group_of_its_own_in_the_session_of_its_parent(shared: Process) -> None:
    # Ctrl-C goes to a group; cores are shared fairly between sessions before anything else
    assert os.getpgid(shared.pid) == shared.pid
    assert os.getsid(shared.pid) == os.getsid(0)


def test_an_instance_reads_back_what_was_asked(shared: Process) -> None:
    ready = shared.wait_ready()
    assert ready.threads == len(CORES)
    assert ready.interop_threads == 1
    assert ready.cpus == tuple(sorted(CORES))
    assert ready.allocator == "default"
    assert ready.parameters == 23_834_568
    assert ready.inputs == (ModelInput(name="x", shape=(3, 75, 75)),)
    assert 0 < ready.error < 1e-3
    assert ready.largest_tensor > 0


def test_a_paused_instance_computes_nothing_until_it_is_resumed(own: Process) -> None:
    def cpu_ticks() -> int:
        fields = Path(f"/proc/{own.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    assert not own.answered(0.3)
    own.pause()
    time.sleep(0.2)
    before = cpu_ticks()
    assert not own.answered(1.0)
    assert cpu_ticks() == before
    own.resume()
    ready = own.wait_ready()
    assert own.answered(0.0)
    assert ready.input_s > 0


def test_a_paused_instance_can_be_ended(own: Process) -> None:
    own.pause()
    own.close()
    assert not Path(f"/proc/{own.pid}").exists()


def test_every_busy_thread_has_a_core_of_its_own(shared: Process) -> None:
    timed = shared.time_forward_passes(batch=8, count=12, seconds=60, timeout=60)
    assert len(timed.durations) == 12
    assert min(timed.durations) > 0
    assert sorted(timed.evidence.thread_cores) == sorted(str(cpu) for cpu in CORES)
    assert timed.evidence.threads == len(CORES)


def test_the_warm_up_is_run_first_and_nothing_is_counted_of_it(shared: Process) -> None:
    timed = shared.time_forward_passes(batch=4, count=2, seconds=60, timeout=60, warmup=20)
    assert (len(timed.warmup), len(timed.durations)) == (20, 2)
    assert min(timed.warmup) > 0
    assert timed.evidence.forwards == 2
    assert shared.time_forward_passes(batch=4, count=1, seconds=60, timeout=60).warmup == ()


def test_evidence_counts_the_forwards(shared: Process) -> None:
    timed = shared.time_forward_passes(batch=4, count=6, seconds=60, timeout=60)
    evidence = timed.evidence
    assert evidence.forwards == 6
    assert evidence.wall_s >= sum(timed.durations)
    assert evidence.user_s > 0
    assert evidence.peak_memory > 100 * 2**20
    assert abs(evidence.started_at - time.time()) < 60


def test_no_forward_starts_after_the_seconds_given(shared: Process) -> None:
    timed = shared.time_forward_passes(batch=1, count=10**6, seconds=0.2, timeout=60)
    assert sum(timed.durations[:-1]) <= 0.2


def test_peak_memory_falls_again_after_a_large_batch(shared: Process) -> None:
    large = shared.time_forward_passes(
        batch=128, count=1, seconds=60, timeout=120
    ).evidence.peak_memory
    small = shared.time_forward_passes(
        batch=1, count=1, seconds=60, timeout=60
    ).evidence.peak_memory
    assert small < large - 50 * 2**20


def test_a_killed_instance_is_one_typed_failure(own: Process) -> None:
    own.wait_ready()
    os.kill(own.pid, signal.SIGKILL)
    with pytest.raises(InstanceDied) as caught:
        own.time_forward_passes(batch=1, count=1, seconds=1, timeout=30)
    assert str(caught.value) == (
        "instance none t=1 was ended by SIGKILL (the kernel does so when memory runs out)"
    )


def test_a_crash_leaves_its_last_words(own: Process) -> None:
    own.wait_ready()
    os.kill(own.pid, signal.SIGSEGV)
    with pytest.raises(InstanceDied, match=r"was ended by SIGSEGV: .+"):
        own.time_forward_passes(batch=1, count=1, seconds=1, timeout=30)


def test_a_forward_past_its_deadline_ends_the_process(own: Process) -> None:
    own.wait_ready()
    with pytest.raises(InstanceTimeout, match="did not answer in time and was ended"):
        own.time_forward_passes(batch=256, count=100, seconds=100, timeout=0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(own.pid, 0)


def test_an_interrupt_lets_a_short_forward_finish(own: Process) -> None:
    own.wait_ready()
    with Interrupt() as interrupt:
        interrupt.request()
        timed = own.time_forward_passes(
            batch=1, count=1, seconds=1, timeout=30, interrupt=interrupt
        )
    assert len(timed.durations) == 1


@pytest.mark.parametrize("allocator", usable_allocators())
def test_an_instance_proves_its_allocator(allocator: str) -> None:
    process = Process(spec(allocator=allocator))
    try:
        assert process.wait_ready().allocator == allocator
        if allocator == "glibc_tuned":
            visits = [
                process.time_forward_passes(batch=64, count=2, seconds=60, timeout=60)
                for _ in range(6)
            ]
            # the heap may grow once more in any visit; untuned, each visit maps 48,000 pages anew
            assert min(visit.evidence.minor_faults for visit in visits) < 2000
    finally:
        process.close()


def test_an_allocator_that_did_not_arrive_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "instance_environment", without_allocator)
    process = Process(spec(allocator="glibc_tuned"))
    try:
        with pytest.raises(ReadbackMismatch) as caught:
            process.wait_ready()
    finally:
        process.close()
    assert str(caught.value) == (
        "instance none t=1 glibc_tuned: asked for allocator glibc_tuned, but it runs with default"
    )


def without_allocator(
    environment: dict[str, str], cpus: tuple[int, ...], allocator: str
) -> dict[str, str]:
    return instance_environment(environment, cpus, "default")


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
        f"process = Process(InstanceSpec(model=ModelSpec(name='inception', size=75), "
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


RUNTIMES = ["onnxruntime", "openvino", "bf16", "int8"]


@pytest.mark.parametrize("threads", [1, len(CORES)])
@pytest.mark.parametrize("optimization", RUNTIMES)
def test_a_runtime_computes_on_the_cores_of_its_instance_alone(
    optimization: str, threads: int
) -> None:
    if optimization == "bf16" and "avx512_bf16" not in cpu_flags():
        pytest.skip("this CPU has no bfloat16")
    process = Process(spec(threads, optimization=optimization))
    try:
        ready = process.wait_ready()
        assert ready.threads == threads
        assert set(ready.cpus) == set(CORES[:threads])
        for batch in (1, 8, 3):
            evidence = process.time_forward_passes(batch, 20, 60, 60).evidence
            cores = set().union(*map(parse_cpu_list, evidence.thread_cores))
            assert 1 <= len(evidence.thread_cores) <= threads
            assert cores <= set(CORES[:threads])
    finally:
        process.close()


def test_what_a_lossy_optimization_gives_up_is_measured_over_256_inputs() -> None:
    process = Process(spec(optimization="int8"))
    try:
        ready = process.wait_ready()
    finally:
        process.close()
    assert ready.compared == 256
    assert ready.error > 1e-3
    assert ready.agreement is not None and 0 < ready.agreement < 1
    assert ready.facts["lossy"] == "yes"
    assert ready.facts["precision"] == "int8"


def test_an_optimization_that_does_not_fit_the_model_says_why() -> None:
    process = Process(spec(optimization="mkldnn"))
    try:
        with pytest.raises(PrepareFailed, match="does not support oneDNN's tensors"):
            process.wait_ready()
    finally:
        process.close()


def test_the_peak_is_measured_on_the_cores_of_the_instance(shared: Process) -> None:
    peak = shared.find_peak(timeout=60)
    assert peak.matmul_flops["float32"] > 1e9
    assert peak.memory_bandwidth > 1e8
    timed = shared.time_forward_passes(batch=8, count=12, seconds=60, timeout=60)
    assert len(timed.evidence.thread_cores) == len(CORES)


def test_busy_threads_outside_the_cores_or_more_than_them_are_a_mismatch(shared: Process) -> None:
    evidence = shared.time_forward_passes(batch=1, count=1, seconds=1, timeout=60).evidence
    two = InstanceSpec(model=SMALL, optimization="openvino", cpus=(4, 6), home=(4, 6))
    for fine in [("4", "6"), ("4",), ("4", "4,6"), ("4,6", "4,6")]:
        check_threads(two, msgspec.structs.replace(evidence, thread_cores=fine))
    for wrong in [("4", "4"), ("4", "5"), ("4-6",), ("4", "6", "4,6")]:
        with pytest.raises(ReadbackMismatch, match=r"each should have one of 4, 6 to itself"):
            check_threads(two, msgspec.structs.replace(evidence, thread_cores=wrong))


TURNS = """
import hashlib, json, os, sys
from coresplit.instance.messages import Forwards, InstanceSpec
from coresplit.instance.child.worker import Worker
from coresplit.models import ModelSpec

cpus = tuple(json.loads(sys.argv[1]))
model = ModelSpec(name="inception", size=75)
spec = InstanceSpec(model=model, optimization="none", cpus=cpus, home=cpus, inputs=sys.argv[2])
worker = Worker(spec)
for batch in (4, 2):
    worker.time(Forwards(batch=batch, count=1, seconds=60))
    seen, real = [], worker.forward
    worker.forward = lambda: seen.append(hashlib.sha256(real()[0].numpy()).hexdigest())
    worker.time(Forwards(batch=batch, count=20, seconds=60, warmup=4))
    worker.time(Forwards(batch=batch, count=12, seconds=60))
    print(json.dumps(seen))
"""


@pytest.mark.parametrize("inputs", ["hot", "rotate"])
def test_rotating_inputs_are_different_ones_in_turns_through_all_visits(inputs: str) -> None:
    output = subprocess.run(
        [sys.executable, "-c", TURNS, str(list(CORES[:1])), inputs],
        env=instance_environment(os.environ, CORES[:1], "default"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for batch, line in zip((4, 2), output.splitlines(), strict=True):
        seen = json.loads(line)
        size = batch * 3 * 75 * 75 * 4
        count = inputs_wanted(size, last_level_cache()) if inputs == "rotate" else 1
        assert len(seen) == 36
        assert len(set(seen)) == count
        assert all(seen[n] == seen[n % count] for n in range(36))
