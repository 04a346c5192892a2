"""Which core each thread of a process gets."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.errors import PrepareFailed
from coresplit.instance.child.threads import assignment, bind, confine, confined_to, settle

ANYWHERE = frozenset({0, 1, 2, 3})


def test_openmp_workers_keep_the_places_they_were_bound_to() -> None:
    allowed = {10: ANYWHERE, 11: frozenset({5}), 12: frozenset({7})}
    assert assignment((3, 5, 7), 10, (10, 11, 12), allowed) == {10: 3, 11: 5, 12: 7}


def test_workers_that_may_run_anywhere_get_a_core_each() -> None:
    allowed = {10: ANYWHERE, 21: ANYWHERE, 22: ANYWHERE, 23: ANYWHERE}
    found = assignment((0, 1, 2), 10, (10, 22, 23), allowed)
    assert (found[10], found[22], found[23]) == (0, 1, 2)


def test_a_calling_thread_that_only_waits_leaves_its_core_to_a_worker() -> None:
    allowed = {10: ANYWHERE, 21: ANYWHERE, 22: ANYWHERE}
    found = assignment((4, 6), 10, (21, 22), allowed)
    assert {found[21], found[22]} == {4, 6}


def test_idle_openmp_workers_do_not_take_a_core_from_those_that_compute() -> None:
    allowed = {10: ANYWHERE, 11: frozenset({1}), 21: ANYWHERE}
    assert assignment((0, 1), 10, (10, 21), allowed) == {10: 0, 11: 1, 21: 1}


def test_two_workers_that_were_bound_to_one_core_are_parted() -> None:
    allowed = {10: ANYWHERE, 21: frozenset({1}), 22: frozenset({1})}
    found = assignment((0, 1, 2), 10, (10, 21, 22), allowed)
    assert (found[21], found[22]) == (1, 2)


@given(st.data())
def test_threads_that_compute_never_share_a_core(data: st.DataObject) -> None:
    cpus = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True))
    places = st.frozensets(st.sampled_from(cpus), min_size=1)
    threads = data.draw(st.dictionaries(st.integers(2, 60), places, max_size=12))
    allowed = {1: frozenset(cpus), **threads}
    computing = data.draw(
        st.lists(st.sampled_from(sorted(allowed)), max_size=len(cpus), unique=True)
    )
    found = assignment(cpus, 1, sorted(computing), allowed)
    assert set(found) == set(allowed)
    assert set(found.values()) <= set(cpus)
    cores = [found[thread] for thread in computing]
    assert len(set(cores)) == len(cores)
    assert found[1] == cpus[0]


@pytest.fixture
def unbound() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    confine(sorted(before))
    for task in Path("/proc/self/task").iterdir():
        bind(int(task.name), before)


@pytest.mark.usefixtures("unbound")
def test_more_threads_that_compute_than_cores_are_found_out() -> None:
    ending = threading.Event()

    def spin() -> None:
        while not ending.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=spin) for _ in range(2)]
    for thread in threads:
        thread.start()
    first = min(os.sched_getaffinity(0))
    try:
        with pytest.raises(PrepareFailed) as caught:
            settle((first,), lambda: time.sleep(0.05), time.monotonic)
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert "2 threads compute on 1 core:" in str(caught.value)


@pytest.mark.usefixtures("unbound")
def test_a_settled_process_runs_on_its_cores_alone() -> None:
    first = min(os.sched_getaffinity(0))
    settle((first,), lambda: sum(range(10**5)), time.monotonic)
    assert confined_to() == (first,)


@pytest.mark.usefixtures("unbound")
def test_a_thread_that_ended_meanwhile_is_passed_over() -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    assert ended.native_id is not None
    # a joined thread may take a moment to leave the kernel's list
    while (Path("/proc/self/task") / str(ended.native_id)).exists():
        time.sleep(0.001)
    before = os.sched_getaffinity(0)
    bind(ended.native_id, {min(before)})
    assert os.sched_getaffinity(0) == before
