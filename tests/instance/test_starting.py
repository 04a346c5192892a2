"""Processes that cannot be started, or are ended before they are ready."""

import itertools
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coresplit.errors import InstanceDied, InstanceError
from coresplit.instance import InstanceSpec, Process
from coresplit.instance.failures import death_of
from coresplit.models import ModelSpec

SPEC = InstanceSpec(
    model=ModelSpec(name="inception", size=75), optimization="none", cpus=(0,), home=(0,)
)


def opened() -> int:
    """Descriptors that this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("more", range(4))
def test_a_process_that_cannot_be_started_leaves_no_descriptor(more: int) -> None:
    """However far it comes: ``more`` descriptors are still to be had."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = opened()
    taken = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    free = (number for number in itertools.count() if number not in taken)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (next(itertools.islice(free, more, None)), limits[1])
    )
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Process(SPEC)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert opened() == before


@pytest.mark.parametrize("ending", [Process.end, lambda each: os.kill(each.pid, signal.SIGKILL)])
def test_how_a_process_died_is_known_without_waiting(ending: Callable[[Process], None]) -> None:
    process = Process(SPEC)
    try:
        assert process.death() is None
        ending(process)
        select.select([process], [], [], 30)
        with pytest.raises(InstanceDied, match="has closed its pipe"):
            process.poll()
        end = time.monotonic() + 30
        while process.death() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert "SIGKILL" in str(process.death())
        process.end()
    finally:
        process.close()


def test_what_an_instance_had_started_ends_with_it() -> None:
    process = Process(SPEC)
    with subprocess.Popen(["sleep", "60"], process_group=process.pid) as started:
        try:
            os.kill(process.pid, signal.SIGKILL)
            end = time.monotonic() + 30
            while process.death() is None and time.monotonic() < end:
                time.sleep(0.01)
            assert started.wait(30) == -signal.SIGKILL
        finally:
            process.close()
            started.kill()


def test_a_reply_that_is_none_is_an_error_of_the_instance() -> None:
    process = Process(SPEC)
    try:
        process._channel.hand_over().close()
        process._channel._framing.feed(b"\0\0\0\2{}")
        with pytest.raises(InstanceError, match="sent an invalid reply"):
            process.poll()
    finally:
        process.close()


def test_a_death_by_a_signal_without_a_name_is_told_too() -> None:
    with tempfile.TemporaryFile() as words:
        assert "signal 40" in str(death_of(SPEC, -40, words))
        assert "SIGSEGV" in str(death_of(SPEC, -signal.SIGSEGV, words))
