"""What an event loop is asked to wait for."""

import asyncio
from collections.abc import Callable

from coresplit.errors import InstanceError
from coresplit.instance import Ready


class Alarm:
    """Calls once, at the earliest of the moments that it was set to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Call at this time of the loop, or before."""
        if self._timer is None or self._timer.when() > when:
            self.stop()
            self._timer = self._loop.call_at(when, self._ring)

    def stop(self) -> None:
        """Call no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._call()


class Change:
    """Something that happens again and again; cheap while nobody waits for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._awaited = False

    async def wait(self) -> None:
        """Wait until it happens the next time."""
        self._awaited = True
        await self._event.wait()

    def tell(self) -> None:
        """It has happened."""
        if self._awaited:
            self._awaited = False
            self._event.set()
            self._event = asyncio.Event()


def require_alike(first: Ready, ready: Ready) -> None:
    """Raise InstanceError for an instance whose answers would not be those of the first one."""
    for what in ("inputs", "outputs", "weights"):
        if getattr(ready, what) != getattr(first, what):
            raise InstanceError(
                f"the {what} of the model are not those that are served: it was changed"
            )
