"""What holds of every instance, whether a process or a fake, and where one of the two differs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coresplit.errors import InstanceError, InstanceTimeout
from coresplit.instance import FakeMachine, InstanceSpec, Interrupt, Member, Process
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec, parse_fake
from coresplit.records import ModelInput, Variant

CORES = inspect().usable_cores
# four of its inputs are enough numbers for PyTorch to start a second thread
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16384, 30)

    def forward(self, x):
        return self.fc(torch.relu(x))
"""
MINE = ModelSpec(name="mine:Net", inputs=(ModelInput(name="x", shape=(16384,)),), trust=True)
FAKE = ModelSpec(name="fake:2ms + 8ms*b/t")
ENOUGH_S = 120.0


def both(which: str) -> pytest.MarkDecorator:
    """Gives the fixture ``which`` of both kinds."""
    kinds = ["fake", pytest.param("real", marks=pytest.mark.slow)]
    return pytest.mark.parametrize(which, kinds, indirect=True)


def started(
    kind: str, folder: Path, cpus: tuple[int, ...] = CORES[:1], model: ModelSpec = MINE
) -> Member:
    if kind == "fake":
        return FakeMachine(FAKE, parse_fake(FAKE.name)).start_on(Variant("none"), cpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Process(InstanceSpec(model=model, optimization="none", cpus=cpus, home=cpus))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the code of the real model lies."""
    path = tmp_path_factory.mktemp("mine")
    (path / "mine.py").write_text(NET)
    return path


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, folder: Path) -> Iterator[Member]:
    """A ready instance for the tests that leave it as it was."""
    instance = started(request.param, folder)
    instance.wait_ready(timeout=ENOUGH_S)
    yield instance
    instance.close()


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, folder: Path) -> Iterator[Member]:
    """An instance that was ready and has been closed."""
    instance = started(request.param, folder)
    instance.wait_ready(timeout=ENOUGH_S)
    instance.close()
    yield instance
    instance.close()


@pytest.fixture
def own(request: pytest.FixtureRequest, folder: Path) -> Iterator[Member]:
    """An instance that has just been started."""
    instance = started(request.param, folder)
    yield instance
    instance.close()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Fake or real, for a test that starts its instance itself."""
    return str(request.param)


@both("shared")
def test_what_is_read_back_is_what_was_asked(shared: Member) -> None:
    ready = shared.wait_ready()
    assert ready.threads == shared.spec.threads == 1
    assert ready.interop_threads == 1
    assert ready.cpus == shared.spec.cpus == CORES[:1]
    assert ready.allocator == shared.spec.allocator == "default"
    assert ready.inputs[0].name == "x"
    assert ready.error < 1e-3
    assert min(ready.parameters, ready.flops, ready.memory) > 0
    assert ready.prepare_s > 0
    assert ready.weights


@both("shared")
def test_it_is_ready_with_the_same_words_every_time(shared: Member) -> None:
    first = shared.wait_ready()
    assert shared.answered(0.0)
    assert shared.wait_ready(timeout=0.0) == first


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["real"], indirect=True)
def test_outputs_were_compared_and_a_first_forward_timed(shared: Member) -> None:
    ready = shared.wait_ready()
    assert ready.compared > 0
    assert min(ready.input_s, ready.largest_tensor, ready.start_s) > 0


@both("kind")
@pytest.mark.skipif(len(CORES) < 2, reason="one core has no order")
def test_cores_are_read_back_in_order(kind: str, folder: Path) -> None:
    instance = started(kind, folder, (CORES[1], CORES[0]))
    try:
        assert instance.wait_ready(timeout=ENOUGH_S).cpus == CORES[:2]
    finally:
        instance.close()


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True, reason="ReadbackMismatch, as PyTorch starts no second thread for it"
)
@pytest.mark.skipif(len(CORES) < 2, reason="one core has no second thread")
def test_a_model_too_small_for_a_second_thread_is_measured_on_two_cores(folder: Path) -> None:
    """The formula of a fake holds for any number of threads."""
    (folder / "tiny.py").write_text(NET.replace("16384", "4"))
    tiny = ModelSpec(name="tiny:Net", inputs=(ModelInput(name="x", shape=(4,)),), trust=True)
    instance = started("real", folder, CORES[:2], tiny)
    try:
        assert instance.wait_ready(timeout=ENOUGH_S).cpus == CORES[:2]
    finally:
        instance.close()


@both("shared")
@pytest.mark.parametrize("batch", [1, 3])
def test_as_many_forwards_are_timed_as_asked_and_the_warm_up_apart(
    shared: Member, batch: int
) -> None:
    timed = shared.time_forward_passes(batch, 6, 60.0, ENOUGH_S, warmup=4)
    assert (len(timed.warmup), len(timed.durations)) == (4, 6)
    assert min(timed.warmup + timed.durations) > 0
    assert timed.evidence.forwards == 6
    assert timed.evidence.visits == 1
    assert timed.evidence.wall_s >= sum(timed.durations) * (1 - 1e-9)
    assert timed.evidence.threads == 1
    assert timed.evidence.peak_memory > 0
    assert timed.copies == ()
    assert shared.time_forward_passes(batch, 1, 60.0, ENOUGH_S).warmup == ()


@both("shared")
def test_busy_threads_are_on_the_cores_that_were_given(shared: Member) -> None:
    timed = shared.time_forward_passes(8, 2000, 0.5, ENOUGH_S)
    assert set(timed.evidence.thread_cores) == {str(CORES[0])}


@both("shared")
def test_no_forward_starts_after_the_seconds_given(shared: Member) -> None:
    timed = shared.time_forward_passes(1, 10**6, 0.1, ENOUGH_S)
    assert timed.durations
    assert sum(timed.durations[:-1]) <= 0.1


@both("shared")
@pytest.mark.parametrize(("count", "seconds"), [(0, 1.0), (3, 0.0)])
def test_nothing_is_timed_without_a_count_or_time_but_the_warm_up_is_run(
    shared: Member, count: int, seconds: float
) -> None:
    timed = shared.time_forward_passes(2, count, seconds, ENOUGH_S, warmup=2)
    assert timed.durations == ()
    assert len(timed.warmup) == 2
    assert timed.evidence.forwards == 0


@both("shared")
def test_timed_forwards_have_a_begin_and_an_end(shared: Member) -> None:
    timed = shared.time_forward_passes(1, 3, 60.0, ENOUGH_S)
    assert timed.ended_at - timed.begun_at >= sum(timed.durations) * (1 - 1e-9) > 0


@both("shared")
def test_one_forward_is_begun_at_a_moment_and_finished(shared: Member) -> None:
    moment = time.perf_counter() + 0.05
    shared.begin(2, moment)
    timed = shared.finish(ENOUGH_S)
    (duration,) = timed.durations
    assert (timed.warmup, timed.copies) == ((), ())
    assert timed.evidence.forwards == 1
    assert timed.begun_at >= moment
    assert timed.ended_at - timed.begun_at == pytest.approx(duration, rel=0.5, abs=1e-3)


@both("shared")
def test_a_forward_begun_at_a_moment_that_is_past_is_run_all_the_same(shared: Member) -> None:
    moment = time.perf_counter() - 5.0
    shared.begin(2, moment)
    timed = shared.finish(ENOUGH_S)
    assert len(timed.durations) == 1
    assert timed.begun_at >= moment


@both("shared")
def test_the_peak_is_a_speed_and_a_bandwidth_and_forwards_go_on(shared: Member) -> None:
    peak = shared.find_peak(ENOUGH_S)
    assert peak.matmul_flops["float32"] > 0
    assert min(peak.matmul_flops.values()) > 0
    assert peak.memory_bandwidth > 0
    assert len(shared.time_forward_passes(1, 2, 60.0, ENOUGH_S).durations) == 2


@both("shared")
def test_an_interrupt_lets_short_forwards_finish(shared: Member) -> None:
    with Interrupt() as interrupt:
        interrupt.request()
        ready = shared.wait_ready(interrupt)
        assert shared.answered(0.0, interrupt)
        timed = shared.time_forward_passes(1, 2, 60.0, ENOUGH_S, interrupt)
        shared.begin(1, time.perf_counter())
        begun = shared.finish(ENOUGH_S, interrupt)
    assert ready == shared.wait_ready()
    assert (len(timed.durations), len(begun.durations)) == (2, 1)


@both("shared")
def test_pausing_one_that_is_ready_changes_nothing(shared: Member) -> None:
    shared.pause()
    try:
        assert shared.answered(0.0)
        assert len(shared.time_forward_passes(1, 1, 60.0, ENOUGH_S).durations) == 1
    finally:
        shared.resume()


@both("own")
def test_pauses_while_preparing_are_harmless(own: Member) -> None:
    own.resume()
    assert not own.answered(0.0)
    own.pause()
    own.pause()
    own.resume()
    own.resume()
    assert not own.answered(0.0)
    assert own.wait_ready(timeout=ENOUGH_S).threads == 1
    assert len(own.time_forward_passes(1, 1, 60.0, ENOUGH_S).durations) == 1


@both("own")
def test_a_paused_one_does_not_answer(own: Member) -> None:
    own.pause()
    assert not own.answered(0.1)


@both("own")
def test_a_paused_one_can_be_closed(own: Member) -> None:
    own.pause()
    own.close()
    own.resume()


@both("own")
def test_one_that_is_not_ready_in_time_is_ended(own: Member) -> None:
    with pytest.raises(InstanceTimeout) as caught:
        own.wait_ready(timeout=0.05)
    assert caught.value.what == f"{own.spec} was not ready in time and was ended"
    with pytest.raises(InstanceError):
        own.time_forward_passes(1, 1, 60.0, ENOUGH_S)


@both("own")
def test_one_that_is_not_ready_in_time_tells_the_remedy(own: Member) -> None:
    with pytest.raises(InstanceTimeout) as caught:
        own.wait_ready(timeout=0.05)
    assert caught.value.option == "budget"


@both("own")
def test_one_that_was_not_ready_in_time_is_never_ready(own: Member) -> None:
    with pytest.raises(InstanceTimeout):
        own.wait_ready(timeout=0.05)
    with pytest.raises(InstanceError):
        own.wait_ready(timeout=ENOUGH_S)


@both("own")
def test_an_interrupt_ends_the_wait_for_an_answer(own: Member) -> None:
    with Interrupt() as interrupt:
        interrupt.request()
        assert not own.answered(ENOUGH_S, interrupt)


@both("own")
@pytest.mark.parametrize("began", [True, False], ids=["begun", "timed"])
def test_forwards_past_their_timeout_end_the_instance(own: Member, began: bool) -> None:
    own.wait_ready(timeout=ENOUGH_S)
    with pytest.raises(InstanceTimeout) as caught:
        if began:
            own.begin(1, time.perf_counter() + 60.0)
            own.finish(0.001)
        else:
            own.time_forward_passes(1, 10**9, 60.0, timeout=0.3)
    assert str(caught.value) == f"{own.spec} did not answer in time and was ended"
    for _ in range(2):
        with pytest.raises(InstanceError):
            own.time_forward_passes(1, 1, 60.0, ENOUGH_S)
    with pytest.raises(InstanceError):
        own.begin(1, time.perf_counter())
    own.close()


@both("own")
def test_forwards_long_after_an_interrupt_end_the_instance(own: Member) -> None:
    own.wait_ready(timeout=ENOUGH_S)
    with Interrupt() as interrupt:
        interrupt.request()
        interrupt.requested_at = time.monotonic() - 60.0
        with pytest.raises(InstanceTimeout):
            own.time_forward_passes(1, 10**9, 1.0, ENOUGH_S, interrupt)


@both("ended")
def test_closing_twice_is_harmless(ended: Member) -> None:
    ended.close()
    ended.pause()
    ended.resume()
    ended.close()


@both("ended")
def test_a_closed_one_times_nothing(ended: Member) -> None:
    with pytest.raises(InstanceError):
        ended.time_forward_passes(1, 1, 60.0, ENOUGH_S)


@both("ended")
def test_a_closed_one_begins_nothing(ended: Member) -> None:
    with pytest.raises(InstanceError):
        ended.begin(1, time.perf_counter())


@both("ended")
def test_a_closed_one_finds_no_peak(ended: Member) -> None:
    with pytest.raises(InstanceError):
        ended.find_peak(ENOUGH_S)


@both("own")
def test_one_that_was_closed_before_it_was_ready_never_is(own: Member) -> None:
    own.close()
    with pytest.raises(InstanceError):
        own.wait_ready(timeout=ENOUGH_S)
