"""Whole messages out of a stream of bytes: each has its length before it."""

import struct

_HEADER = struct.Struct("!i")


def framed(message: bytes) -> bytes:
    """A message with its length before it; raises ValueError for one of 2 GiB or more."""
    if len(message) >= 2**31:
        raise ValueError(f"a message of {len(message)} bytes is too long")
    return _HEADER.pack(len(message)) + message


class Framing:
    """Takes bytes as they arrive, cut anywhere, and gives messages in order."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        self._bytes += data

    def message(self) -> bytes | None:
        """The next whole message, None until there is one.

        Raises ValueError where the stream says that a message is of 2 GiB or more.
        """
        if len(self._bytes) < _HEADER.size:
            return None
        (size,) = _HEADER.unpack_from(self._bytes)
        if size < 0:
            raise ValueError("a message is too long")
        end = _HEADER.size + size
        if len(self._bytes) < end:
            return None
        found = bytes(self._bytes[_HEADER.size : end])
        del self._bytes[:end]
        return found
