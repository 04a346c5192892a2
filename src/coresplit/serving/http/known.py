"""Heads that were read before: clients send the same one again and again."""

from coresplit.serving.http.heads import END, HeadReader
from coresplit.serving.http.limits import Limits

_LONGEST = 2 << 10
_MOST = 128


class KnownHeads:
    """Readers by the bytes of the head that they read, of all connections of a server."""

    def __init__(self) -> None:
        self._readers: dict[bytes, HeadReader] = {}

    def reader(self, data: memoryview, limits: Limits) -> tuple[HeadReader, int]:
        """One that has read the head ``data`` begins with, and its length; or a new one, and 0."""
        start = bytes(data[:_LONGEST])
        length = start.find(END) + len(END)
        known = self._readers.get(start[:length]) if length >= len(END) else None
        return (HeadReader(limits), 0) if known is None else (known, length)

    def keep(self, head: memoryview, reader: HeadReader) -> None:
        """Remember what was read, where these bytes are the whole of the head."""
        if reader.head is not None and reader.size == len(head) <= _LONGEST:
            if len(self._readers) >= _MOST:
                self._readers.clear()
            self._readers[bytes(head)] = reader
