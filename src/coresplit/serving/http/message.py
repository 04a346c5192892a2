"""The head of a request, and refusals."""

from collections.abc import Mapping

import msgspec


class Head(msgspec.Struct, frozen=True):
    """A request without its body.

    ``path`` is percent-decoded and has no query; ``query`` is as sent. Names of ``headers`` are
    lower-case, and values of a repeated header are joined by ", ". ``length`` is in bytes, 0
    without a body, and None if unknown until the end: chunked or compressed.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int | None
    http_version: str


class Refusal(Exception):
    """The request is refused: it is answered with ``status``, and the connection closes."""

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers
