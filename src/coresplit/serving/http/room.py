"""A limit on the memory of bodies that are not received in place, over all connections."""

from coresplit.serving.http.message import Refusal


class Room:
    """A number of bytes shared by all connections."""

    def __init__(self, most: int) -> None:
        self.taken = 0
        self._most = most

    def share(self) -> "Share":
        """Return a share for one body."""
        return Share(self)

    def take(self, count: int) -> None:
        """Take bytes; raises Refusal if fewer are left."""
        if self.taken + count > self._most:
            later = (("Retry-After", "1"),)
            raise Refusal(429, "too many bodies arrive at once; try later", later)
        self.taken += count

    def give(self, count: int) -> None:
        """Give bytes back."""
        self.taken -= count


class Share:
    """The bytes taken by one body; ``close`` gives all of them back."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def take(self, count: int) -> None:
        """Take bytes; raises Refusal if fewer are left."""
        self._room.take(count)
        self._taken += count

    def close(self) -> None:
        """Give all bytes back; does nothing if already closed."""
        self._room.give(self._taken)
        self._taken = 0
