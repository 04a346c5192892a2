"""Answers on their way to a client, and the end of a connection."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from coresplit.serving.http.exchange import Part
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.pace import Pace

_JOINED = 64 << 10
"""Answers up to this many bytes are copied into one write."""


class Outbox:
    """Writes to a transport, which tells when all has left.

    The end is in three steps: what is written leaves, this side closes for writing, and what still
    comes is thrown away until the client closes too, so that it sees its last answer.
    """

    def __init__(self, transport: asyncio.Transport, limits: Limits) -> None:
        self.closing = False
        self._transport = transport
        self._limits = limits
        self._pace = Pace(limits.window_s, limits.window_bytes)
        self._is_writing = False
        self._written = 0
        self._began_at = 0.0
        self._unsent: list[Callable[[], None]] = []
        self._closed_at: float | None = None
        self._drained = 0
        # TLS closes in steps of its own, and what it has encrypted may still wait to be taken
        self._says_goodbye = not transport.can_write_eof()
        # a pause begins with the first byte that waits and ends with the last one
        transport.set_write_buffer_limits(high=0)

    @property
    def blocked(self) -> bool:
        """Whether the client has yet to take what was written."""
        # asyncio's TLS calls pause_writing when nothing waits too, so that is not heard; and before
        # the first answer what waits is its own
        return bool(self._written and self._transport.get_write_buffer_size())

    def send(self, parts: Sequence[Part], on_sent: Callable[[], None] | None, now: float) -> None:
        """Write an answer; ``on_sent`` is called once its memory is not needed any more."""
        self._began_at = now
        self._pace.start(now)
        size = sum(map(len, parts))
        self._written += size
        self._is_writing = True
        for part in [b"".join(parts)] if size <= _JOINED else parts:
            self._transport.write(part)
        self._is_writing = False
        if on_sent is None:
            return
        if size > _JOINED and self.blocked:
            # the transport may still read from the parts
            self._unsent.append(on_sent)
        else:
            on_sent()

    def emptied(self) -> bool:
        """Whether everything that was written has left; what waited for that is done."""
        if self._is_writing or self.blocked:
            # asyncio's TLS says so between the parts of an answer
            return False
        self.forget()
        if self.closing:
            self._close()
        return True

    def forget(self) -> None:
        """No memory of an answer is needed any more."""
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            call()

    def close(self) -> None:
        """Begin the end."""
        if self.closing or self._transport.is_closing():
            return
        self.closing = True
        # pausing kept bytes out that would turn the answer into a reset
        if not self._transport.is_reading():
            self._transport.resume_reading()
        if not self._transport.get_write_buffer_size():
            self._close()

    def throw_away(self, count: int) -> None:
        """So many bytes came after the end."""
        self._drained += count
        if self._drained > self._limits.drain_bytes:
            self._transport.abort()

    def check(self, now: float) -> bool:
        """Whether there is something to wait for; a client that is too slow is cut off."""
        left = self._transport.get_write_buffer_size() if self._written else 0
        if left:
            slow = self._pace.too_slow(now, self._written - left)
            if slow or now - self._began_at > self._limits.body_s:
                self._transport.abort()
        elif self.closing and not self._says_goodbye:
            self._closed_at = now if self._closed_at is None else self._closed_at
            if now - self._closed_at > self._limits.drain_s:
                self._transport.abort()
        return bool(left) or self.closing

    def _close(self) -> None:
        if self._says_goodbye:
            if not self._transport.is_closing():
                self._transport.close()
            return
        with suppress(OSError):
            self._transport.write_eof()
