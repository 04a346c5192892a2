"""A request as bytes."""

from collections.abc import Sequence
from typing import Any

from coresplit.loading.wire.address import Address

Parts = tuple[bytes | memoryview, ...]


class Prepared:
    """A request ready to be sent; equal requests are the same object."""

    __slots__ = ("expected", "parts", "rows", "size")

    def __init__(self, parts: Parts, rows: int) -> None:
        self.parts = parts
        self.rows = rows
        self.size = sum(memoryview(part).nbytes for part in parts)
        self.expected: Any = None


def head_of(
    address: Address, method: str, path: str, headers: Sequence[tuple[str, str]], length: int
) -> bytes:
    """Return the head of a request; given headers replace the default ones of the same name."""
    own = {"Host": address.authority, "User-Agent": "coresplit", "Accept": "*/*"}
    if method == "POST":
        own |= {"Content-Type": "application/octet-stream"}
    given = {name.lower() for name, _ in headers}
    lines = [(name, value) for name, value in own.items() if name.lower() not in given]
    lines += headers
    if method == "POST":
        lines.append(("Content-Length", str(length)))
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")
