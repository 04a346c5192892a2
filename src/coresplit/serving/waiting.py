"""Helpers of the engine: an alarm, a change to wait for, and a check that instances agree."""

import asyncio
from collections.abc import Callable

from coresplit.errors import InstanceError
from coresplit.instance import Ready


class Alarm:
    """A timer that calls once, at the earliest of the times it was set to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Call at this time of the loop's clock, or at an earlier one already set."""
        if self._timer is None or self._timer.when() > when:
            self.stop()
            self._timer = self._loop.call_at(when, self._ring)

    def stop(self) -> None:
        """Cancel the call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._call()


class Change:
    """An event that happens repeatedly; cheap while nobody waits for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._awaited = False

    async def wait(self) -> None:
        """Wait for the next time it happens."""
        self._awaited = True
        await self._event.wait()

    def tell(self) -> None:
        """Wake everyone who waits."""
        if self._awaited:
            self._awaited = False
            self._event.set()
            self._event = asyncio.Event()


def require_alike(first: Ready, ready: Ready) -> None:
    """Raise InstanceError if the inputs, outputs or weights differ from those of the first."""
    for what in ("inputs", "outputs", "weights"):
        if getattr(ready, what) != getattr(first, what):
            raise InstanceError(
                f"the {what} of the model differ from those served: the model was changed"
            )
