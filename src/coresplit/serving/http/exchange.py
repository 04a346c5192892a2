"""One request and its answer."""

import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from coresplit.serving.http.codings import accepted_coding, packed
from coresplit.serving.http.message import Head

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

Part = bytes | memoryview
Fields = Sequence[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """An answer to send; ``on_sent`` is called once its memory is no longer needed."""

    status: int
    headers: Fields
    body: Sequence[Part]
    compress: bool
    on_sent: Callable[[], None] | None


class Exchange:
    """A request that an app answers once; ``note`` is for the app's own use.

    ``gone``: the client has disconnected. ``body_bytes``: length of the body as sent, 0 if unknown.
    ``most_bytes``: the longest body that the app accepts, set in ``begin``.
    """

    def __init__(self, head: Head, peer: str, ready: Callable[[], None]) -> None:
        self.head = head
        self.peer = peer
        self.gone = False
        self.body_bytes = 0
        self.most_bytes = sys.maxsize
        self.note: Any = None
        self.answer: Answer | None = None
        self._ready = ready

    def respond(
        self,
        status: int,
        headers: Fields,
        body: Sequence[Part],
        *,
        compress: bool = False,
        on_sent: Callable[[], None] | None = None,
    ) -> None:
        """Answer the request; the parts of the body are sent one after the other.

        ``on_sent`` is called once, when the memory of the parts is no longer needed, even if the
        client has disconnected.
        """
        assert self.answer is None, "a request is answered once"
        self.answer = Answer(status, headers, body, compress, on_sent)
        if self.gone:
            if on_sent is not None:
                on_sent()
            return
        self._ready()


class App(Protocol):
    """An application that answers requests."""

    def begin(self, exchange: Exchange) -> memoryview | None:
        """Return a buffer of ``head.length`` bytes for the body; None for one of the connection.

        May answer at once; then the body is discarded.
        """

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        """The body is complete."""

    def gone(self, exchange: Exchange) -> None:
        """The client disconnected before it was answered; called once."""


def error_answer(status: int, message: str, headers: Fields = ()) -> Answer:
    """Return an error answer with a JSON body."""
    body = msgspec.json.encode({"error": message})
    return Answer(status, [("Content-Type", "application/json"), *headers], [body], False, None)


def head_of(answer: Answer, length: int, extra: Fields) -> bytes:
    """Return the status line and headers, including Content-Length."""
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in (*answer.headers, *extra)]
    lines += [f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def parts_of(head: Head, answer: Answer, keep: bool, compress_from: int) -> list[Part]:
    """Return head and body; compressed if the answer allows it and the client accepts it."""
    body = list(answer.body)
    length = sum(map(len, body))
    extra = [("Connection", "keep-alive" if keep else "close")]
    if answer.compress and length >= compress_from:
        coding = accepted_coding(head.headers.get("accept-encoding", ""))
        if coding:
            body = packed(body, coding)
            length = sum(map(len, body))
            extra += [("Content-Encoding", coding), ("Vary", "Accept-Encoding")]
    first = head_of(answer, length, extra)
    return [first] if head.method == "HEAD" else [first, *body]
