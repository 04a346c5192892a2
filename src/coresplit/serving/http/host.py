"""What a connection needs of its server."""

from typing import Protocol

from coresplit.serving.http.exchange import App
from coresplit.serving.http.known import KnownHeads
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.room import Room


class Connection(Protocol):
    """A connection as its server sees it."""

    def check(self, now: float) -> None:
        """Close what is too slow."""

    def drain(self) -> None:
        """Answer what is begun, then close."""

    def abort(self) -> None:
        """Close at once."""


class Host(Protocol):
    """The server of a connection."""

    app: App
    limits: Limits
    draining: bool
    room: Room
    heads: KnownHeads

    def opened(self, connection: "Connection") -> bool:
        """Whether there is room for it."""

    def closed(self, connection: "Connection") -> None:
        """It has ended."""
