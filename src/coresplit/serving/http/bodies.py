"""Bodies of requests as they arrive: in place, to a known end, or in chunks."""

from typing import Protocol

import httptools

from coresplit.serving.http.codings import Inflater
from coresplit.serving.http.heads import END
from coresplit.serving.http.message import Refusal
from coresplit.serving.http.room import Share

_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_PIECE = 64 << 10
_FRAMING = 16 << 10
# chunks of one byte have five bytes of framing
_FRAMING_A_BYTE = 16


class Body(Protocol):
    """A body that arrives."""

    done: bool
    received: int
    """Bytes taken from the wire."""

    def feed(self, data: memoryview) -> int:
        """How many bytes of ``data`` belong to it; raises Refusal."""

    def view(self) -> memoryview:
        """The whole body, after ``done``."""


class InPlace:
    """A body of known length in a buffer that exists; the transport may write to ``rest()``."""

    def __init__(self, buffer: memoryview) -> None:
        self.received = 0
        self.done = False
        self._buffer = buffer

    def feed(self, data: memoryview) -> int:
        """Copy what came with the head."""
        part = data[: len(self._buffer) - self.received]
        self._buffer[self.received : self.received + len(part)] = part
        self.advance(len(part))
        return len(part)

    def rest(self) -> memoryview:
        """Where the next bytes belong; never empty before ``done``."""
        return self._buffer[self.received :]

    def advance(self, count: int) -> None:
        """``count`` bytes were written to ``rest()``."""
        self.received += count
        self.done = self.received == len(self._buffer)

    def view(self) -> memoryview:
        """The buffer."""
        return self._buffer


class Skipped:
    """A body of known length that nobody wants."""

    def __init__(self, length: int) -> None:
        self.received = 0
        self.done = length == 0
        self._length = length

    def feed(self, data: memoryview) -> int:
        """Count it."""
        took = min(len(data), self._length - self.received)
        self.received += took
        self.done = self.received == self._length
        return took

    def view(self) -> memoryview:
        """Nothing."""
        return memoryview(b"")


class Grown:
    """A buffer that grows to at most ``limit`` bytes, unpacked on the way if it was compressed.

    Its bytes are taken from ``share``.
    """

    def __init__(self, limit: int, coding: str, share: Share) -> None:
        self.size = 0
        self._limit = limit
        self._share = share
        self._inflater = Inflater(coding) if coding else None
        self._buffer = bytearray()

    def add(self, data: bytes | memoryview) -> None:
        """Raises Refusal past the limit or the share, and for damaged compressed data."""
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
        """Raises Refusal if compressed data is cut short."""
        if self._inflater is not None:
            self._inflater.finish()

    def view(self) -> memoryview:
        """What was added."""
        return memoryview(self._buffer)


class Compressed:
    """A compressed body of known compressed length."""

    def __init__(self, length: int, grown: Grown) -> None:
        self.received = 0
        self.done = False
        self._length = length
        self._grown = grown

    def feed(self, data: memoryview) -> int:
        """Unpack what belongs to it; raises Refusal."""
        part = data[: self._length - self.received]
        self.received += len(part)
        self._grown.add(part)
        if self.received == self._length:
            self._grown.finish()
            self.done = True
        return len(part)

    def view(self) -> memoryview:
        """The unpacked body."""
        return self._grown.view()


class Chunked:
    """A chunked body, read by llhttp; extensions and trailers are thrown away.

    The last chunk ends with an empty line, so what is fed is cut at every empty line: where llhttp
    says that the body is over, the next request begins.
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
        """How many bytes of ``data`` it took; raises Refusal."""
        # copied once, as it may be cut at every fourth byte
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
        """The whole body, unpacked if it was compressed."""
        return self._grown.view()


def body_of(length: int | None, coding: str, most: int, share: Share) -> Body:
    """A body of ``length`` bytes, None for chunks, that the app has no place for.

    It may have ``most`` bytes, taken from ``share``. Raises Refusal.
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
