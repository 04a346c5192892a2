"""A cache of parsed heads: clients send the same head repeatedly."""

from coresplit.serving.http.heads import END, HeadReader
from coresplit.serving.http.limits import Limits

_LONGEST = 2 << 10
_MOST = 128


class KnownHeads:
    """Finished readers by the bytes of their head, shared by all connections of a server."""

    def __init__(self) -> None:
        self._readers: dict[bytes, HeadReader] = {}

    def reader(self, data: memoryview, limits: Limits) -> tuple[HeadReader, int]:
        """Return the reader of the head that starts ``data`` and its length, or a new one and 0."""
        start = bytes(data[:_LONGEST])
        length = start.find(END) + len(END)
        known = self._readers.get(start[:length]) if length >= len(END) else None
        return (HeadReader(limits), 0) if known is None else (known, length)

    def keep(self, head: memoryview, reader: HeadReader) -> None:
        """Remember a reader if ``head`` is the whole of its head."""
        if reader.head is not None and reader.size == len(head) <= _LONGEST:
            if len(self._readers) >= _MOST:
                self._readers.clear()
            self._readers[bytes(head)] = reader
