"""Sending answers to a client, and closing a connection."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from coresplit.serving.http.exchange import Part
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.pace import Pace

_JOINED = 64 << 10
"""Answers up to this many bytes are copied into one write."""


class Outbox:
    """Writes to a transport, which reports when everything has been sent.

    Closing has three steps: all data is sent, this side closes for writing, and further data is
    discarded until the client closes too, so that it receives its last answer.
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
        # TLS has its own closing handshake, and encrypted data may still wait to be sent
        self._says_goodbye = not transport.can_write_eof()
        # writing is paused from the first byte that waits until the last one is sent
        transport.set_write_buffer_limits(high=0)

    @property
    def blocked(self) -> bool:
        """Whether written data still waits for the client."""
        # asyncio's TLS calls pause_writing also when nothing waits, so that is ignored; before the
        # first answer only data of the TLS handshake waits
        return bool(self._written and self._transport.get_write_buffer_size())

    def send(self, parts: Sequence[Part], on_sent: Callable[[], None] | None, now: float) -> None:
        """Write an answer; ``on_sent`` is called once its memory is no longer needed."""
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
        """Whether everything written has been sent; if so, run the callbacks and finish closing."""
        if self._is_writing or self.blocked:
            # asyncio's TLS calls resume_writing between the parts of an answer
            return False
        self.forget()
        if self.closing:
            self._close()
        return True

    def forget(self) -> None:
        """Call all pending ``on_sent``: no memory of an answer is needed any more."""
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            call()

    def close(self) -> None:
        """Begin to close."""
        if self.closing or self._transport.is_closing():
            return
        self.closing = True
        # unread bytes would make the kernel send a reset instead of the answer
        if not self._transport.is_reading():
            self._transport.resume_reading()
        if not self._transport.get_write_buffer_size():
            self._close()

    def throw_away(self, count: int) -> None:
        """Count bytes that arrived after closing; abort beyond the limit."""
        self._drained += count
        if self._drained > self._limits.drain_bytes:
            self._transport.abort()

    def check(self, now: float) -> bool:
        """Whether data waits or closing is in progress; aborts if the client is too slow."""
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
