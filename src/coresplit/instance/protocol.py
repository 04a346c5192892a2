"""The interfaces of an instance, which may be a process, several processes or a fake."""

from typing import Protocol

from coresplit.errors import InstanceDied, InstanceTimeout
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import Command, FoundPeak, InstanceSpec, Ready, Reply, Timed

PREPARE_TIMEOUT_S = 1800.0


class Instance(Protocol):
    """An instance as a sweep uses it; ``Process`` is the real one."""

    spec: InstanceSpec

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until the model is prepared; the same answer at every call."""

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """True if ``wait_ready`` would not block; waits up to ``timeout`` seconds for that."""

    def pause(self) -> None:
        """Pause the preparation until resumed."""

    def resume(self) -> None:
        """Continue preparing; does nothing if it is not paused."""

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

        ``seconds`` counts from the end of the warm-up, ``timeout`` from its start.
        """

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure the peak speed of its cores."""

    def close(self) -> None:
        """End it; does nothing if it has ended already."""


class ServingInstance(Protocol):
    """An instance as a server uses it: no call but ``close`` makes the event loop wait."""

    spec: InstanceSpec

    @property
    def pid(self) -> int:
        """Process id."""

    def fileno(self) -> int:
        """Descriptor that is readable once ``poll`` has something to return."""

    def send(self, command: Command) -> None:
        """Send a command; replies come in the same order. Raises InstanceDied."""

    def poll(self) -> Reply | None:
        """Return the next reply, None if there is none yet; raises an InstanceError.

        Call it until it returns None, since one read may bring several replies. A dying instance
        may touch the arena until ``death`` returns an error.
        """

    def end(self) -> None:
        """Kill it without waiting for its end; does nothing if it has ended already."""

    def death(self) -> InstanceDied | None:
        """Return how it ended, None while it may still read or write; never waits."""

    def close(self) -> None:
        """Kill it and wait for its end; does nothing if it has ended already."""


def not_ready(spec: InstanceSpec) -> InstanceTimeout:
    """Return the error for an instance that took too long to be ready."""
    return InstanceTimeout(
        f"{spec} was not ready in time and was ended",
        "a larger budget gives it more time, and what it compiled is kept",
        "budget",
    )
