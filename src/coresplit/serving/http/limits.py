"""What one client may take of the server."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, counts and seconds; past them a request is refused or its connection closed."""

    head_bytes: int = 64 << 10
    target_bytes: int = 8 << 10
    headers: int = 100
    body_bytes: int = 64 << 20
    """Of a body as the app gets it: also the most that a compressed one may unpack to."""

    unplaced_bytes: int = 256 << 20
    """Of all bodies together that the app has no place for: compressed, or of unknown length."""

    connections: int = 1024
    pipelined: int = 16
    """Requests of one connection that are begun and not sent yet; then it is not read. Also how
    many it may begin before others have their turn."""

    pipelined_bytes: int = 16 << 20
    """No further request of a connection is begun while those that are have bodies of so many."""

    head_s: float = 10.0
    """From the first byte of a head to its end, and for the first byte of a connection."""

    idle_s: float = 75.0
    body_s: float = 300.0
    """From the first byte of a body to its end, and for an answer to be taken."""

    window_s: float = 10.0
    window_bytes: int = 16 << 10
    """A body must arrive, and an answer must be taken, at this many bytes a window or faster."""

    drain_bytes: int = 4 << 20
    drain_s: float = 5.0
    """How much, and how long, is read and thrown away so that the client sees its last answer."""

    compress_bytes: int = 1 << 10
    """Answers shorter than this are never compressed."""

    def tick_s(self) -> float:
        """How often connections are looked at: late by a quarter of the shortest time."""
        shortest = min(self.head_s, self.idle_s, self.window_s, self.drain_s)
        return max(min(1.0, shortest / 4), 0.01)
