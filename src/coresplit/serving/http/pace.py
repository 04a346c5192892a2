"""A minimum transfer rate; pure."""


class Pace:
    """At least ``least`` bytes must move in every window of ``window_s`` seconds."""

    def __init__(self, window_s: float, least: int) -> None:
        self._window_s = window_s
        self._least = least
        self._at = 0.0
        self._moved: int | None = None

    def start(self, now: float) -> None:
        """Start a window."""
        self._at = now
        self._moved = None

    def too_slow(self, now: float, moved: int) -> bool:
        """Whether the window has ended with too few bytes; ``moved`` is a running total."""
        if now - self._at < self._window_s:
            return False
        before, self._moved, self._at = self._moved, moved, now
        return before is not None and moved - before < self._least
