"""One connection: reads requests as they arrive, and answers them in order."""

import asyncio
from collections import deque
from typing import cast

from coresplit.serving.http.bodies import Body, InPlace, Skipped, body_of
from coresplit.serving.http.exchange import Answer, Exchange, error_answer, parts_of
from coresplit.serving.http.heads import HeadReader
from coresplit.serving.http.host import Host
from coresplit.serving.http.message import Head, Refusal
from coresplit.serving.http.outbox import Outbox
from coresplit.serving.http.pace import Pace
from coresplit.serving.http.room import Share

_BUFFER = 64 << 10
_NO_HEAD = Head("GET", "/", "", {}, 0, "1.1")


class HttpConnection(asyncio.BufferedProtocol):
    """Reads bodies directly into their buffers, and writes whole answers."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._clock = loop.time
        self._limits = host.limits
        self._transport: asyncio.Transport | None = None
        self._outbox: Outbox | None = None
        self._peer = ""
        self._buffer = memoryview(bytearray(_BUFFER))
        self._held = b""
        self._reader: HeadReader | None = None
        self._body: Body | None = None
        self._current: Exchange | None = None
        self._exchanges: deque[Exchange] = deque()
        self._keep_alive: dict[int, bool] = {}
        self._continue: set[int] = set()
        self._share: Share | None = None
        self._last = False
        self._since = self._body_since = self._clock()
        self._idle_s = host.limits.head_s
        self._pace = Pace(host.limits.window_s, host.limits.window_bytes)

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports are not subclasses, but behave the same
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(self._transport, self._limits)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else str(peer or "")
        if not self._host.opened(self):
            self._stop(error_answer(503, "too many connections; try later"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next bytes: the body itself if its length is known."""
        if isinstance(self._body, InPlace) and not self._body.done:
            return self._body.rest()
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        if isinstance(self._body, InPlace) and not self._body.done:
            self._body.advance(nbytes)
            if self._body.done:
                self._finish_body()
            return
        self._feed(self._buffer[:nbytes])

    def resume_writing(self) -> None:
        """Everything written has been sent."""
        if self._outbox is not None and self._outbox.emptied():
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected, or the connection was closed."""
        outbox, self._transport, self._outbox = self._outbox, None, None
        self._host.closed(self)
        self._drop_body()
        if outbox is not None:
            outbox.forget()
        self._forget_exchanges()

    # called by the server

    def check(self, now: float) -> None:
        """Close the connection if the client is too slow."""
        if self._transport is None or self._outbox is None or self._outbox.check(now):
            return
        if self._body is not None and not self._body.done:
            slow = self._pace.too_slow(now, self._body.received)
            if slow or now - self._body_since > self._limits.body_s:
                self._refuse(Refusal(408, "the body of the request arrives too slowly"))
        elif self._reader is not None and self._reader.size:
            if now - self._since > self._limits.head_s:
                self._stop(error_answer(408, "the head of the request did not arrive in time"))
        elif not self._exchanges and now - self._since > self._idle_s:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """Answer requests in progress, then close."""
        if self._transport is not None and not self._exchanges and self._current is None:
            self._transport.close()

    # requests

    def _feed(self, data: memoryview) -> None:
        turns = self._limits.pipelined
        try:
            while data and self._transport is not None and self._outbox is not None:
                if self._outbox.closing:
                    self._outbox.throw_away(len(data))
                    return
                if self._body is not None:
                    data = data[self._body.feed(data) :]
                    if self._body.done:
                        self._finish_body()
                    elif isinstance(self._body, InPlace):
                        return
                elif self._last or self._host.draining:
                    return
                elif not self._has_room() or not turns:
                    self._held = bytes(data)
                    self._transport.pause_reading()
                    if not turns:
                        self._loop.call_soon(self._take_up)
                    return
                else:
                    data = data[self._read_head(data) :]
                    turns -= self._reader is None
        except Refusal as refusal:
            self._refuse(refusal)

    def _has_room(self) -> bool:
        """Whether another request may begin before those in progress are answered."""
        assert self._outbox is not None
        return (
            not self._outbox.blocked
            and len(self._exchanges) < self._limits.pipelined
            and sum(each.body_bytes for each in self._exchanges) < self._limits.pipelined_bytes
        )

    def _take_up(self) -> None:
        """Continue with data that was held back."""
        transport = self._transport
        if self._held and transport and not transport.is_closing() and self._has_room():
            held, self._held = self._held, b""
            transport.resume_reading()
            self._feed(memoryview(held))

    def _read_head(self, data: memoryview) -> int:
        took = 0
        if self._reader is None or not self._reader.size:
            self._since = self._clock()
            self._reader, took = self._host.heads.reader(data, self._limits)
        if not took:
            took = self._reader.feed(data)
            self._host.heads.keep(data[:took], self._reader)
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
        self._current = exchange = Exchange(head, self._peer, self._flush)
        # if the app answers at once, the answer waits until it is known how the body ends
        wanted = self._host.app.begin(exchange)
        self._exchanges.append(exchange)
        length = reader.wire_length
        exchange.body_bytes = length or 0
        keep_alive = reader.keep_alive
        if exchange.answer is not None:
            # a client that expects 100 may or may not send its body after this answer
            if length is None or expects or length > self._limits.drain_bytes:
                self._current = None
                keep_alive = False
            else:
                self._body = Skipped(length)
        elif expects and head.http_version == "1.1" and length != 0:
            self._continue.add(id(exchange))
        self._keep_alive[id(exchange)] = keep_alive
        self._last = not keep_alive
        self._idle_s = self._limits.idle_s
        self._body_since = self._clock()
        self._pace.start(self._body_since)
        if exchange.answer is None and wanted is not None and length and not reader.coding:
            self._body = InPlace(wanted)
        elif exchange.answer is None:
            most = min(exchange.most_bytes, self._limits.body_bytes)
            self._share = self._host.room.share()
            self._body = body_of(length, reader.coding, most, self._share)
        if self._body is not None and self._body.done:
            self._finish_body()
        self._flush()

    def _finish_body(self) -> None:
        body, self._body = self._body, None
        exchange, self._current = self._current, None
        self._since = self._clock()
        if exchange is not None and body is not None and exchange.answer is None:
            self._host.app.complete(exchange, body.view())
        self._drop_body()
        self._flush()

    def _drop_body(self) -> None:
        self._body = None
        if self._share is not None:
            self._share.close()
            self._share = None

    def _refuse(self, refusal: Refusal) -> None:
        answer = error_answer(refusal.status, refusal.message, refusal.headers)
        current, self._current = self._current, None
        self._drop_body()
        if current is None:
            self._stop(answer)
            return
        if current.answer is None:
            # its body cannot be read, so the app drops the request
            self._host.app.gone(current)
            current.answer = answer
        # the rest of its body would be read as the next request
        self._keep_alive[id(current)] = False
        self._last = True
        self._flush()

    def _stop(self, answer: Answer) -> None:
        """Send a last answer after all that are due, then close."""
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
        while self._outbox is not None and self._exchanges and not self._outbox.closing:
            exchange = self._exchanges[0]
            if exchange.answer is None:
                if id(exchange) in self._continue and self._transport is not None:
                    self._continue.discard(id(exchange))
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            # a request is not answered while its body is still being received
            arriving = exchange is self._current and not isinstance(self._body, Skipped | None)
            if arriving or self._outbox.blocked:
                return
            self._exchanges.popleft()
            self._continue.discard(id(exchange))
            keep = self._keep_alive.pop(id(exchange))
            if self._host.draining and not self._exchanges:
                keep = False
            answer = exchange.answer
            parts = parts_of(exchange.head, answer, keep, self._limits.compress_bytes)
            self._outbox.send(parts, answer.on_sent, self._clock())
            if not keep:
                self._finish()
                return
        if self._held:
            self._take_up()
        if self._outbox is not None and not self._exchanges and not self._held:
            self._since = self._clock()
            if (self._host.draining or self._last) and self._current is None:
                self._finish()

    def _finish(self) -> None:
        """Close for writing, and discard what arrives until the client closes too."""
        assert self._outbox is not None
        self._drop_body()
        self._current = self._reader = None
        self._held = b""
        self._outbox.close()
        self._forget_exchanges()

    def _forget_exchanges(self) -> None:
        """Drop the remaining requests: nobody receives their answers."""
        while self._exchanges:
            exchange = self._exchanges.popleft()
            exchange.gone = True
            if exchange.answer is None:
                self._host.app.gone(exchange)
            elif exchange.answer.on_sent is not None:
                exchange.answer.on_sent()
