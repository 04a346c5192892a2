"""Limits on the resources that clients may use."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, counts and seconds; beyond them a request is refused or its connection closed."""

    head_bytes: int = 64 << 10
    target_bytes: int = 8 << 10
    headers: int = 100
    body_bytes: int = 64 << 20
    """Longest body as the app receives it, so also the decompressed length."""

    unplaced_bytes: int = 256 << 20
    """Total of all bodies that are not received in place: compressed, or of unknown length."""

    connections: int = 1024
    pipelined: int = 16
    """Most unanswered requests of one connection; at this number it is not read. Also how many it
    may begin before other connections have their turn."""

    pipelined_bytes: int = 16 << 20
    """A connection begins no further request while bodies of unanswered ones total this or more."""

    head_s: float = 10.0
    """From the first byte of a head to its last, and until the first byte of a connection."""

    idle_s: float = 75.0
    body_s: float = 300.0
    """From the first byte of a body to its last, and for the client to receive an answer."""

    window_s: float = 10.0
    window_bytes: int = 16 << 10
    """The client must send a body, and receive an answer, at this many bytes a window or faster."""

    drain_bytes: int = 4 << 20
    drain_s: float = 5.0
    """How much and how long is read and discarded so that the client sees its last answer."""

    compress_bytes: int = 1 << 10
    """Answers shorter than this are never compressed."""

    def tick_s(self) -> float:
        """Return the interval of checks: a quarter of the shortest timeout, 0.01 to 1 second."""
        shortest = min(self.head_s, self.idle_s, self.window_s, self.drain_s)
        return max(min(1.0, shortest / 4), 0.01)
