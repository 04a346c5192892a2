"""Request bodies as they arrive: in place, of known length, or chunked."""

from typing import Protocol

import httptools

from coresplit.serving.http.codings import Inflater
from coresplit.serving.http.heads import END
from coresplit.serving.http.message import Refusal
from coresplit.serving.http.room import Share

_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_PIECE = 64 << 10
_FRAMING = 16 << 10
# a one-byte chunk has five bytes of framing
_FRAMING_A_BYTE = 16


class Body(Protocol):
    """A body being received."""

    done: bool
    received: int
    """Bytes taken from the wire."""

    def feed(self, data: memoryview) -> int:
        """Take the bytes of ``data`` that belong to it, and return their number; raises Refusal."""

    def view(self) -> memoryview:
        """Return the whole body; valid once ``done``."""


class InPlace:
    """A body of known length in a given buffer; the transport may write to ``rest()``."""

    def __init__(self, buffer: memoryview) -> None:
        self.received = 0
        self.done = False
        self._buffer = buffer

    def feed(self, data: memoryview) -> int:
        """Copy bytes that arrived together with the head."""
        part = data[: len(self._buffer) - self.received]
        self._buffer[self.received : self.received + len(part)] = part
        self.advance(len(part))
        return len(part)

    def rest(self) -> memoryview:
        """Return the unfilled part of the buffer; never empty before ``done``."""
        return self._buffer[self.received :]

    def advance(self, count: int) -> None:
        """Record that ``count`` bytes were written to ``rest()``."""
        self.received += count
        self.done = self.received == len(self._buffer)

    def view(self) -> memoryview:
        """Return the buffer."""
        return self._buffer


class Skipped:
    """A body of known length that is discarded."""

    def __init__(self, length: int) -> None:
        self.received = 0
        self.done = length == 0
        self._length = length

    def feed(self, data: memoryview) -> int:
        """Count the bytes."""
        took = min(len(data), self._length - self.received)
        self.received += took
        self.done = self.received == self._length
        return took

    def view(self) -> memoryview:
        """Return nothing."""
        return memoryview(b"")


class Grown:
    """A buffer that grows to at most ``limit`` bytes; decompresses the data if needed.

    Its bytes are counted against ``share``.
    """

    def __init__(self, limit: int, coding: str, share: Share) -> None:
        self.size = 0
        self._limit = limit
        self._share = share
        self._inflater = Inflater(coding) if coding else None
        self._buffer = bytearray()

    def add(self, data: bytes | memoryview) -> None:
        """Add data; raises Refusal beyond the limit or the share, and for corrupt data."""
        if self._inflater is None:
            self._append(data)
            return
        for piece in self._inflater.feed(data):
            self._append(piece)

    def _append(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise Refusal(413, f"the body is longer than {self._limit} bytes")
        self._share.take(len(data))
        self._buffer += data

    def finish(self) -> None:
        """Raise Refusal if compressed data is incomplete."""
        if self._inflater is not None:
            self._inflater.finish()

    def view(self) -> memoryview:
        """Return the data added so far."""
        return memoryview(self._buffer)


class Compressed:
    """A compressed body of known compressed length."""

    def __init__(self, length: int, grown: Grown) -> None:
        self.received = 0
        self.done = False
        self._length = length
        self._grown = grown

    def feed(self, data: memoryview) -> int:
        """Decompress the bytes that belong to it; raises Refusal."""
        part = data[: self._length - self.received]
        self.received += len(part)
        self._grown.add(part)
        if self.received == self._length:
            self._grown.finish()
            self.done = True
        return len(part)

    def view(self) -> memoryview:
        """Return the decompressed body."""
        return self._grown.view()


class Chunked:
    """A chunked body, parsed by llhttp; extensions and trailers are discarded.

    The last chunk ends with an empty line, so data is fed to llhttp up to each empty line. When
    llhttp reports the end of the body, the next request begins right there.
    """

    def __init__(self, grown: Grown) -> None:
        self.received = 0
        self.done = False
        self._grown = grown
        self._payload = 0
        self._tail = b""
        self._refusal: Refusal | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def feed(self, data: memoryview) -> int:
        """Take bytes from ``data`` and return their number; raises Refusal."""
        # copied once, because it may be cut at every fourth byte
        piece = self._tail + bytes(data[:_PIECE])
        at = kept = len(self._tail)
        while at < len(piece) and not self.done:
            found = piece.find(END, max(0, at - 3))
            end = len(piece) if found < 0 else found + len(END)
            self._parse(piece[at:end])
            at = end
        self._tail = piece[-3:]
        if self.done:
            if not piece[:at].endswith(END):
                raise Refusal(400, "the chunked body does not end with an empty line")
            self._grown.finish()
            self._parser = None
        return at - kept

    def _parse(self, piece: bytes) -> None:
        assert self._parser is not None
        self.received += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            refusal = Refusal(400, f"the chunked body is malformed: {error}")
            raise self._refusal or refusal from None
        if self.received - self._payload > _FRAMING + _FRAMING_A_BYTE * self._payload:
            raise Refusal(400, "the chunked body is mostly framing")

    def on_body(self, data: bytes) -> None:
        """Called by llhttp with a part of a chunk."""
        self._payload += len(data)
        try:
            self._grown.add(data)
        except Refusal as refusal:
            self._refusal = refusal
            raise

    def on_message_complete(self) -> None:
        """Called by llhttp after the last chunk."""
        self.done = True

    def view(self) -> memoryview:
        """Return the whole body, decompressed if needed."""
        return self._grown.view()


def body_of(length: int | None, coding: str, most: int, share: Share) -> Body:
    """Create a body of ``length`` bytes, None if chunked, in memory that is allocated here.

    It may have at most ``most`` bytes, counted against ``share``. Raises Refusal.
    """
    if length == 0:
        return Skipped(0)
    if length is None:
        return Chunked(Grown(most, coding, share))
    if coding:
        return Compressed(length, Grown(most, coding, share))
    if length > most:
        raise Refusal(413, f"the body is longer than {most} bytes")
    share.take(length)
    return InPlace(memoryview(bytearray(length)))
