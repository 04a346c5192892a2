"""gzip and deflate: requests are unpacked to a bound, answers packed for whoever accepts it."""

import zlib
from collections.abc import Iterator, Sequence

from coresplit.serving.http.message import Refusal

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
# the cheapest: an answer is packed between other requests
_LEVEL = 1
_AT_ONCE = 256 << 10


class Inflater:
    """Unpacks one stream."""

    def __init__(self, coding: str) -> None:
        self._stream = zlib.decompressobj(_WINDOW[coding])

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Pieces of bounded size; raises Refusal for damaged data and for bytes after the end."""
        rest: bytes | memoryview = data
        while rest:
            if self._stream.eof:
                raise Refusal(400, "the compressed body goes on after its end")
            try:
                yield self._stream.decompress(rest, _AT_ONCE)
            except zlib.error:
                raise Refusal(400, "the compressed body is damaged") from None
            rest = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        """Raises Refusal if the stream is cut short."""
        if not self._stream.eof:
            raise Refusal(400, "the compressed body ends too early")


def accepted_coding(header: str) -> str:
    """The coding for an answer by an Accept-Encoding header: "gzip", "deflate" or ""."""
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
    """The body as one stream of the coding."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW[coding])
    return [*filter(None, (stream.compress(part) for part in body)), stream.flush()]
