"""Length-prefixed messages in a stream of bytes."""

import struct

_HEADER = struct.Struct("!i")


def framed(message: bytes) -> bytes:
    """Return a message prefixed with its length; raises ValueError for 2 GiB or more."""
    if len(message) >= 2**31:
        raise ValueError(f"a message of {len(message)} bytes is too long")
    return _HEADER.pack(len(message)) + message


class Framing:
    """Takes bytes as they arrive, in any pieces, and returns messages in order."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._bytes += data

    def message(self) -> bytes | None:
        """Return the next complete message, None until there is one.

        Raises ValueError if the stream announces a message of 2 GiB or more.
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
