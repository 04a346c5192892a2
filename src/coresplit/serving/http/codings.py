"""gzip and deflate: decompress request bodies piece by piece, and compress answers."""

import zlib
from collections.abc import Iterator, Sequence

from coresplit.serving.http.message import Refusal

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
# the fastest level, because compressing blocks the event loop
_LEVEL = 1
_AT_ONCE = 256 << 10


class Inflater:
    """Decompresses one stream."""

    def __init__(self, coding: str) -> None:
        self._stream = zlib.decompressobj(_WINDOW[coding])

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield pieces of bounded size; raises Refusal for corrupt data or data after the end."""
        rest: bytes | memoryview = data
        while rest:
            if self._stream.eof:
                raise Refusal(400, "the compressed body has data after its end")
            try:
                yield self._stream.decompress(rest, _AT_ONCE)
            except zlib.error:
                raise Refusal(400, "the compressed body is corrupt") from None
            rest = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        """Raise Refusal if the stream is incomplete."""
        if not self._stream.eof:
            raise Refusal(400, "the compressed body ends too early")


def accepted_coding(header: str) -> str:
    """Return the coding that an Accept-Encoding header allows: "gzip", "deflate" or ""."""
    weights: dict[str, float] = {}
    for each in header.lower().split(","):
        name, _, parameter = each.partition(";")
        key, _, weight = parameter.partition("=")
        try:
            weights[name.strip()] = float(weight) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    for name in _WINDOW:
        if weights.get(name, weights.get("*", 0.0)) > 0:
            return name
    return ""


def packed(body: Sequence[bytes | memoryview], coding: str) -> list[bytes | memoryview]:
    """Compress the body into one stream."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW[coding])
    return [*filter(None, (stream.compress(part) for part in body)), stream.flush()]
