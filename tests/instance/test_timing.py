"""What is inside the timed region, with a forward that only counts its calls."""

import gc
import time
from collections.abc import Sequence

import pytest

from coresplit.instance.child import timing
from coresplit.instance.child.timing import time_forwards
from coresplit.instance.messages import Forwards
from coresplit.machine import counters
from coresplit.machine.counters import Counters


class Calls:
    def __init__(self) -> None:
        self.count = 0
        self.collecting: set[bool] = set()

    def __call__(self) -> None:
        self.count += 1
        self.collecting.add(gc.isenabled())


def test_counters_are_read_around_the_forwards_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, read = Calls(), []
    real = counters.read_counters

    def counting(cpus: Sequence[int]) -> Counters:
        read.append(calls.count)
        return real(cpus)

    monkeypatch.setattr(counters, "read_counters", counting)
    timed = time_forwards(calls, Forwards(batch=1, count=3, seconds=60, warmup=2), (0,), 1)
    assert read == [2, 5]
    assert (len(timed.warmup), len(timed.durations)) == (2, 3)
    assert timed.evidence.forwards == 3


def test_a_warm_up_takes_none_of_the_seconds() -> None:
    calls = Calls()
    timed = time_forwards(calls, Forwards(batch=1, count=3, seconds=0.0, warmup=2), (0,), 1)
    assert (len(timed.warmup), len(timed.durations), calls.count) == (2, 0, 2)


def test_garbage_is_not_collected_meanwhile_and_again_afterwards() -> None:
    calls = Calls()
    time_forwards(calls, Forwards(batch=1, count=2, seconds=60, warmup=1), (0,), 1)
    assert calls.collecting == {False}
    assert gc.isenabled()


def test_an_instance_rests_until_its_threads_have_stopped_spinning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def rested(spinning_s: float) -> float:
        nonlocal now
        now = 0.0
        monkeypatch.setattr(time, "process_time", lambda: min(now, spinning_s))
        timing.rest()
        return now

    monkeypatch.setattr(time, "sleep", sleep)
    assert rested(0.0) < 0.01
    assert 0.05 <= rested(0.05) < 0.06
    # what never stops is not waited for
    assert rested(100.0) < 1.0
