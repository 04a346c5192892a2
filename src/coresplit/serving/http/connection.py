"""One connection: requests are read as they come, and answered in their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from coresplit.serving.http.bodies import Body, Chunked, Compressed, Grown, InPlace, Skipped
from coresplit.serving.http.exchange import Answer, Exchange, error_answer, parts_of
from coresplit.serving.http.heads import HeadReader
from coresplit.serving.http.host import Host
from coresplit.serving.http.message import Head, Refusal
from coresplit.serving.http.pace import Pace

_BUFFER = 64 << 10
_JOINED = 64 << 10
"""Answers up to this many bytes are copied into one write."""
_FRAMING = 16 << 10
_NO_HEAD = Head("GET", "/", "", {}, 0, "1.1")


class HttpConnection(asyncio.BufferedProtocol):
    """Reads into the buffer that a body has, and writes whole answers."""

    def __init__(self, host: Host, clock: Callable[[], float]) -> None:
        self._host = host
        self._clock = clock
        self._limits = host.limits
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._buffer = memoryview(bytearray(_BUFFER))
        self._held = b""
        self._reader: HeadReader | None = None
        self._body: Body | None = None
        self._current: Exchange | None = None
        self._exchanges: deque[Exchange] = deque()
        self._keep_alive: dict[int, bool] = {}
        self._continue: set[int] = set()
        self._last = False
        self._unsent: list[Callable[[], None]] = []
        self._since = clock()
        self._pace = Pace(host.limits.window_s, host.limits.window_bytes)
        self._closing_at = 0.0
        self._drained = 0

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        # uvloop's transports are no subclasses, but do what these do
        self._transport = cast(asyncio.Transport, transport)
        # a pause begins with the first byte that waits and ends with the last one
        self._transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else str(peer or "")
        if not self._host.opened(self):
            self._stop(error_answer(503, "too many connections; try later"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: into the body itself where its length is known."""
        if isinstance(self._body, InPlace) and not self._body.done:
            return self._body.rest()
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        if isinstance(self._body, InPlace) and not self._body.done:
            self._body.advance(nbytes)
            if self._body.done:
                self._finish_body()
            return
        self._feed(self._buffer[:nbytes])

    def resume_writing(self) -> None:
        """Everything that was written has left."""
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            call()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or the connection was closed."""
        self._transport = None
        self._host.closed(self)
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            call()
        exchanges, self._exchanges = self._exchanges, deque()
        for exchange in exchanges:
            exchange.gone = True
            if exchange.answer is None:
                self._host.app.gone(exchange)
            elif exchange.answer.on_sent is not None:
                exchange.answer.on_sent()

    # called by the server

    def check(self, now: float) -> None:
        """Close what is too slow."""
        limits = self._limits
        if self._transport is None:
            return
        if self._closing_at:
            if now - self._closing_at > limits.drain_s:
                self._transport.abort()
        elif self._unsent or self._transport.get_write_buffer_size():
            if self._pace.too_slow(now, -self._transport.get_write_buffer_size()):
                self._transport.abort()
        elif self._body is not None and not self._body.done:
            if self._pace.too_slow(now, self._body.received):
                self._refuse(Refusal(408, "the body of the request arrives too slowly"))
        elif self._reader is not None and self._reader.size:
            if now - self._since > limits.head_s:
                self._stop(error_answer(408, "the head of the request did not arrive in time"))
        elif not self._exchanges and now - self._since > limits.idle_s:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """Answer what is begun, then close."""
        if self._transport is not None and not self._exchanges and self._current is None:
            self._transport.close()

    # requests

    def _feed(self, data: memoryview) -> None:
        try:
            while data and self._transport is not None:
                if self._closing_at:
                    self._throw_away(len(data))
                    return
                if self._body is not None:
                    data = data[self._body.feed(data) :]
                    if self._body.done:
                        self._finish_body()
                    elif isinstance(self._body, InPlace):
                        return
                elif self._last:
                    return
                elif len(self._exchanges) >= self._limits.pipelined:
                    self._held = bytes(data)
                    self._transport.pause_reading()
                    return
                else:
                    data = data[self._read_head(data) :]
        except Refusal as refusal:
            self._refuse(refusal)

    def _read_head(self, data: memoryview) -> int:
        if self._reader is None:
            self._reader = HeadReader(self._limits)
        if not self._reader.size:
            self._since = self._clock()
        took = self._reader.feed(data)
        if self._reader.head is not None:
            reader, self._reader = self._reader, None
            self._begin(reader)
        return took

    def _begin(self, reader: HeadReader) -> None:
        assert reader.head is not None
        head = reader.head
        expects = head.headers.get("expect", "").lower()
        if expects not in ("", "100-continue"):
            raise Refusal(417, "the only expectation supported is 100-continue")
        exchange = Exchange(head, self._peer, self._flush)
        self._keep_alive[id(exchange)] = reader.keep_alive
        self._exchanges.append(exchange)
        self._current = exchange
        wanted = self._host.app.begin(exchange)
        length = reader.wire_length
        if exchange.answer is not None:
            # a client that waits to be told goes on or not, and nobody can know which
            if length is None or expects or length > self._limits.drain_bytes:
                self._keep_alive[id(exchange)] = False
                self._last = True
                self._current = None
            else:
                self._body = Skipped(length)
        elif length is None:
            self._body = Chunked(Grown(self._limits.body_bytes, reader.coding), _FRAMING)
        elif reader.coding and length:
            self._body = Compressed(length, Grown(self._limits.body_bytes, reader.coding))
        elif length:
            self._body = InPlace(wanted if wanted is not None else memoryview(bytearray(length)))
        else:
            self._body = Skipped(0)
        if expects and exchange.answer is None and head.http_version == "1.1" and length != 0:
            self._continue.add(id(exchange))
        self._pace.start(self._clock())
        if self._body is not None and self._body.done:
            self._finish_body()
        self._flush()

    def _finish_body(self) -> None:
        body, self._body = self._body, None
        exchange, self._current = self._current, None
        self._since = self._clock()
        if exchange is not None and body is not None and exchange.answer is None:
            self._host.app.complete(exchange, body.view())
        self._flush()

    def _refuse(self, refusal: Refusal) -> None:
        answer = error_answer(refusal.status, refusal.message, refusal.headers)
        current, self._current, self._body = self._current, None, None
        if current is not None and current.answer is None:
            # its body cannot be read: the app forgets it
            self._host.app.gone(current)
            current.answer = answer
            self._keep_alive[id(current)] = False
            self._last = True
            self._flush()
            return
        self._stop(answer)

    def _stop(self, answer: Answer) -> None:
        """Send a last answer after all that are due, and close."""
        exchange = Exchange(_NO_HEAD, self._peer, self._flush)
        exchange.answer = answer
        self._keep_alive[id(exchange)] = False
        self._exchanges.append(exchange)
        self._reader = None
        self._last = True
        self._flush()

    # answers

    def _flush(self) -> None:
        """Send the answers that are due, in order."""
        while self._transport is not None and self._exchanges and not self._closing_at:
            exchange = self._exchanges[0]
            if exchange.answer is None:
                if id(exchange) in self._continue:
                    self._continue.discard(id(exchange))
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            if exchange is self._current and not isinstance(self._body, Skipped | None):
                # its body is still written to; it is answered once that has come
                return
            self._exchanges.popleft()
            self._continue.discard(id(exchange))
            keep = self._keep_alive.pop(id(exchange)) and not self._host.draining
            self._send(exchange, exchange.answer, keep=keep)
            if not keep:
                self._finish()
                return
        if self._held and len(self._exchanges) < self._limits.pipelined and self._transport:
            held, self._held = self._held, b""
            self._transport.resume_reading()
            self._feed(memoryview(held))
        elif self._transport is not None and not self._exchanges:
            self._since = self._clock()
            if (self._host.draining and self._current is None) or self._last:
                self._finish()

    def _send(self, exchange: Exchange, answer: Answer, *, keep: bool) -> None:
        assert self._transport is not None
        parts = parts_of(exchange.head, answer, keep, self._limits.compress_bytes)
        self._pace.start(self._clock())
        if sum(map(len, parts)) <= _JOINED:
            self._transport.write(b"".join(parts))
        else:
            for part in parts:
                self._transport.write(part)
            if answer.on_sent is not None and self._transport.get_write_buffer_size():
                # the transport may still read from the parts
                self._unsent.append(answer.on_sent)
                return
        if answer.on_sent is not None:
            answer.on_sent()

    def _finish(self) -> None:
        """Close for writing, and throw away what comes until the client closes too."""
        assert self._transport is not None
        self._closing_at = self._clock()
        self._body = self._current = self._reader = None
        for exchange in self._exchanges:
            exchange.gone = True
            if exchange.answer is None:
                self._host.app.gone(exchange)
        self._exchanges.clear()
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        with suppress(OSError):
            self._transport.write_eof()
        # pausing kept bytes out that would turn the answer into a reset
        if not self._transport.is_reading():
            self._transport.resume_reading()

    def _throw_away(self, count: int) -> None:
        self._drained += count
        if self._drained > self._limits.drain_bytes and self._transport is not None:
            self._transport.abort()
