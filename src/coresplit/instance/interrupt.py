"""Ctrl-C handling: the first asks for an orderly end, the second ends at once."""

import os
import signal
import time
from types import FrameType, TracebackType

GRACE_S = 10.0


class Interrupt:
    """While entered, SIGINT and SIGTERM set ``requested``; a second one raises KeyboardInterrupt.

    ``fileno`` becomes readable on the first signal, so that a wait ends at once.
    """

    def __init__(self) -> None:
        self.requested_at: float | None = None
        self._read, self._write = os.pipe()
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    @property
    def requested(self) -> bool:
        """True once an end has been requested."""
        return self.requested_at is not None

    def fileno(self) -> int:
        """Descriptor that is readable once an end has been requested."""
        return self._read

    def request(self) -> None:
        """Request an end, as the first Ctrl-C does."""
        if self.requested_at is None:
            self.requested_at = time.monotonic()
            os.write(self._write, b"!")

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.request()
