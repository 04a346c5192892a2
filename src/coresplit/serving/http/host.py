"""Interfaces between a connection and its server."""

from typing import Protocol

from coresplit.serving.http.exchange import App
from coresplit.serving.http.known import KnownHeads
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.room import Room


class Connection(Protocol):
    """A connection as its server sees it."""

    def check(self, now: float) -> None:
        """Close the connection if the client is too slow."""

    def drain(self) -> None:
        """Answer requests in progress, then close."""

    def abort(self) -> None:
        """Close at once."""


class Host(Protocol):
    """The server as its connections see it."""

    app: App
    limits: Limits
    draining: bool
    room: Room
    heads: KnownHeads

    def opened(self, connection: "Connection") -> bool:
        """Add a connection; False if there are too many."""

    def closed(self, connection: "Connection") -> None:
        """Remove a connection that has ended."""
