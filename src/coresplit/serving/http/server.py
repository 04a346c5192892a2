"""All connections of a server: accept, watch and drain them."""

import asyncio
import ssl

from coresplit.serving.http.connection import HttpConnection
from coresplit.serving.http.exchange import App
from coresplit.serving.http.host import Connection
from coresplit.serving.http.known import KnownHeads
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.room import Room


class HttpServer:
    """Accepts connections for an app until it is drained."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.draining = False
        self.room = Room(limits.unplaced_bytes)
        self.heads = KnownHeads()
        self.connections = 0
        self.refused = 0
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; raises OSError if that fails."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self, loop),
            host,
            port,
            ssl=tls,
            backlog=1024,
            # a silent client is disconnected as soon as one that sends half a head
            ssl_handshake_timeout=self.limits.head_s if tls else None,
            ssl_shutdown_timeout=self.limits.body_s if tls else None,
        )
        self._watch = loop.call_later(self.limits.tick_s(), self._tick)

    @property
    def port(self) -> int:
        """The port being listened on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def drain(self, grace_s: float) -> bool:
        """Stop accepting, answer requests in progress; False if some are left after ``grace_s``."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.drain()
        if not self._open:
            return True
        try:
            await asyncio.wait_for(self._empty.wait(), grace_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close all connections at once."""
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.abort()

    def opened(self, connection: Connection) -> bool:
        """Add a connection; False if there are too many or the server is draining."""
        self._open.add(connection)
        self._empty.clear()
        self.connections += 1
        room = len(self._open) <= self.limits.connections and not self.draining
        self.refused += not room
        return room

    def closed(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.check(now)
        self._watch = loop.call_later(self.limits.tick_s(), self._tick)
