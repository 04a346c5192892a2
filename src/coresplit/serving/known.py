"""A cache of parsed requests: clients repeat the same description of their tensors."""

from collections.abc import Mapping, Sequence

from coresplit.instance import ALIGNMENT
from coresplit.serving.protocol import (
    HEADER_LENGTH,
    BadRequest,
    InferRequest,
    Signature,
    parse_infer,
    write_infer,
)

_LONGEST = 2 << 10
_MOST = 128
Answer = tuple[dict[str, str], list[bytes | memoryview]]


class Known:
    """A parsed request, and the cached beginning of its answers."""

    __slots__ = ("_begin", "_signature", "out_bytes", "request")

    def __init__(self, request: InferRequest, signature: Signature) -> None:
        self.request = request
        self.out_bytes = tuple(request.rows * each.row_bytes for each in signature.outputs)
        self._signature = signature
        self._begin: tuple[dict[str, str], bytes] | None = None

    def answer(self, outputs: Sequence[memoryview]) -> Answer:
        """Return headers and body of an answer with these outputs; see ``write_infer``."""
        if self._begin is None:
            headers, parts = write_infer(
                self._signature, self.request, [[each] for each in outputs]
            )
            if all(wanted.binary for wanted in self.request.outputs):
                self._begin = headers, bytes(parts[0])
            return headers, parts
        headers, header = self._begin
        return headers, [header, *outputs]


class KnownRequests:
    """Parses each JSON header once, if it is short and its length is given."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._known: dict[tuple[int, int, bytes], Known] = {}

    def find(self, body: memoryview, header_length: int | None) -> Known:
        """Return the parsed request of a body; raises as ``parse_infer`` does."""
        if header_length is None or not 0 <= header_length <= min(_LONGEST, len(body)):
            return self._parsed(body, header_length)
        key = header_length, len(body), bytes(body[:header_length])
        found = self._known.get(key)
        if found is None:
            found = self._parsed(body, header_length)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = found
        return found

    def _parsed(self, body: memoryview, header_length: int | None) -> Known:
        return Known(parse_infer(body, header_length, self._signature), self._signature)


def header_length_of(headers: Mapping[str, str]) -> int | None:
    """Return the length of a body's JSON, None for all of it; BadRequest if not a number."""
    text = headers.get(HEADER_LENGTH.lower())
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest("Inference-Header-Content-Length is not a number")
    return int(text)


def lead_of(headers: Mapping[str, str]) -> int:
    """Return the padding before a body that aligns the data after its JSON to ALIGNMENT bytes."""
    try:
        return -(header_length_of(headers) or 0) % ALIGNMENT
    except BadRequest:
        return 0
