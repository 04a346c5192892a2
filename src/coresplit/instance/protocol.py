"""What the rest of coresplit needs of an instance, whether it is a process, several or a fake."""

from typing import Protocol

from coresplit.errors import InstanceDied, InstanceTimeout
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import Command, FoundPeak, InstanceSpec, Ready, Reply, Timed

PREPARE_TIMEOUT_S = 1800.0


class Instance(Protocol):
    """What a sweep needs of an instance; ``Process`` is the real one."""

    spec: InstanceSpec

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until the model is prepared; the same answer at every call."""

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """Whether ``wait_ready`` would not block, after at most ``timeout`` seconds."""

    def pause(self) -> None:
        """Compute nothing until resumed, while it is being prepared."""

    def resume(self) -> None:
        """Go on; harmless where it is not paused."""

    def time_forward_passes(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
        *,
        warmup: int = 0,
    ) -> Timed:
        """Time up to ``count`` forwards after ``warmup`` others, starting none after ``seconds``.

        The seconds count from the end of the warm-up, ``timeout`` from its beginning.
        """

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure what its cores can do at most."""

    def close(self) -> None:
        """End it; harmless when it has ended already."""


class ServingInstance(Protocol):
    """What a server needs of an instance: an event loop never waits for it."""

    spec: InstanceSpec

    @property
    def pid(self) -> int:
        """Process id."""

    def fileno(self) -> int:
        """Descriptor that is readable once ``poll`` has something to say."""

    def send(self, command: Command) -> None:
        """Send a command; replies come in the same order. Raises InstanceDied."""

    def poll(self) -> Reply | None:
        """The next reply, None where there is none yet; raises an InstanceError.

        Call it until it returns None, since one read may bring several replies. One that died
        may touch the arena until ``death`` says how.
        """

    def end(self) -> None:
        """Have it end, without waiting for that; harmless when it has ended already."""

    def death(self) -> InstanceDied | None:
        """How it ended, None while it may still read or write; never waits."""

    def close(self) -> None:
        """End it and wait for that; harmless when it has ended already."""


def not_ready(spec: InstanceSpec) -> InstanceTimeout:
    """The error of an instance that took too long to be ready."""
    return InstanceTimeout(
        f"{spec} was not ready in time and was ended",
        "a larger budget gives it more time, and what it compiled is kept",
        "budget",
    )
