"""One connection to a server: sends a request and receives its answer."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, cast

import httptools

_BUFFER = 256 << 10
HEADER_LENGTH = b"inference-header-content-length"


class Answer:
    """An answer; ``header_length`` is that of the JSON before binary tensors, if stated."""

    __slots__ = ("at", "body", "header_length", "status")

    def __init__(self, status: int, body: bytes, header_length: int | None, at: float) -> None:
        self.status = status
        self.body = body
        self.header_length = header_length
        self.at = at


class Owner(Protocol):
    """The owner of a connection, called on its events."""

    def opened(self, connection: "Connection") -> None:
        """The connection is ready to send."""

    def answered(self, connection: "Connection", answer: Answer) -> None:
        """The answer arrived; the connection is free again, unless it has closed."""

    def lost(self, connection: "Connection", reason: str) -> None:
        """The connection has ended; a request without an answer is lost."""


class Connection(asyncio.BufferedProtocol):
    """Carries one request at a time; its owner keeps that request in ``sending``."""

    def __init__(self, owner: Owner) -> None:
        self.sending: object = None
        self.due_at = 0.0
        self.is_open = False
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._view = memoryview(bytearray(_BUFFER))
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._header_length: int | None = None
        self._ends_with_connection = True
        self._headers_done = False
        self._reason = ""

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send a request, given in consecutive parts."""
        assert self._transport is not None
        if len(parts) == 1:
            self._transport.write(parts[0])
        else:
            self._transport.writelines(parts)

    def abort(self, reason: str) -> None:
        """Close at once; ``lost`` gets the reason."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        # uvloop's transports are not subclasses, but have the same methods
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next bytes."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Parse the bytes received."""
        try:
            self._parser.feed_data(self._view[:nbytes])
        except httptools.HttpParserError:
            self.abort("the answer is not HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete an answer that ends with the connection, and tell the owner."""
        self.is_open = False
        self._transport = None
        if self._headers_done and self._ends_with_connection and not self._reason and exc is None:
            self._complete()
        self._owner.lost(self, self._reason or "connection lost")

    # called by llhttp

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header of the answer."""
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False
        elif lower == HEADER_LENGTH and value.isdigit():
            self._header_length = int(value)

    def on_headers_complete(self) -> None:
        """Handle the end of the headers."""
        self._headers_done = True

    def on_body(self, data: bytes) -> None:
        """Handle a part of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Handle the end of an answer."""
        if self._parser.get_status_code() < 200:
            self._reset()
            return
        if not self._parser.should_keep_alive():
            self.is_open = False
            self._reason = "closed"
            assert self._transport is not None
            self._transport.close()
        self._complete()

    def _complete(self) -> None:
        parts = self._body
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        answer = Answer(self._parser.get_status_code(), body, self._header_length, time.monotonic())
        self._reset()
        self._owner.answered(self, answer)

    def _reset(self) -> None:
        self._body = []
        self._header_length = None
        self._ends_with_connection = True
        self._headers_done = False
