"""Memory for bodies that the app has no place for, bounded over all connections."""

from coresplit.serving.http.message import Refusal


class Room:
    """So many bytes for everybody together."""

    def __init__(self, most: int) -> None:
        self.taken = 0
        self._most = most

    def share(self) -> "Share":
        """What one body takes of it."""
        return Share(self)

    def take(self, count: int) -> None:
        """Raises Refusal where so many are not left."""
        if self.taken + count > self._most:
            later = (("Retry-After", "1"),)
            raise Refusal(429, "too many bodies arrive at once; try later", later)
        self.taken += count

    def give(self, count: int) -> None:
        """They are free again."""
        self.taken -= count


class Share:
    """What one body has taken; ``close`` gives all of it back."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def take(self, count: int) -> None:
        """Raises Refusal where so many are not left."""
        self._room.take(count)
        self._taken += count

    def close(self) -> None:
        """Harmless when it is closed already."""
        self._room.give(self._taken)
        self._taken = 0
