"""Heads that were read before: clients send the same one again and again."""

from coresplit.serving.http.heads import END, HeadReader

_LONGEST = 2 << 10
_MOST = 128


class KnownHeads:
    """Readers by the bytes of the head that they read, of all connections of a server."""

    def __init__(self) -> None:
        self._readers: dict[bytes, HeadReader] = {}

    def find(self, data: memoryview) -> tuple[HeadReader, int] | None:
        """What was read from the head that the data begins with, and its length, if it is known."""
        start = bytes(data[:_LONGEST])
        length = start.find(END) + len(END)
        reader = self._readers.get(start[:length]) if length >= len(END) else None
        return None if reader is None else (reader, length)

    def keep(self, head: memoryview, reader: HeadReader) -> None:
        """Remember what was read from a whole head."""
        if len(head) <= _LONGEST and reader.size == len(head):
            if len(self._readers) >= _MOST:
                self._readers.clear()
            self._readers[bytes(head)] = reader
