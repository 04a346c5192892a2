"""A pool of connections to one server; each carries one request at a time."""

import asyncio
import ssl
import time
from collections import deque
from typing import Protocol

from coresplit.loading.wire.address import Address
from coresplit.loading.wire.connection import Answer, Connection
from coresplit.loading.wire.request import Prepared

_ENDED = "ended"


class Sender(Protocol):
    """The sender of requests, called with their results."""

    def answered(self, request: Prepared, due_at: float, answer: Answer) -> None:
        """An answer came, right or wrong."""

    def failed(self, due_at: float, reason: str) -> None:
        """A request got no answer."""

    def waits(self) -> None:
        """A request waits because all connections are in use."""


class Pool:
    """Sends requests over at most ``most`` connections; those without one wait for the next."""

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None, most: int, sender: Sender
    ) -> None:
        self.largest = 0
        self._address = address
        self._tls = tls
        self._most = most
        self._sender = sender
        self._out = 0
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[float, Prepared]] = deque()
        self._closed = False

    @property
    def unfinished(self) -> int:
        """The number of requests that have neither been answered nor failed."""
        return self._out + len(self._waiting)

    async def open(self, count: int) -> None:
        """Open ``count`` connections, or as many as the server accepts."""
        for _ in range(count):
            self._connect()
        await asyncio.gather(*self._connecting)

    def send(self, due_at: float, request: Prepared) -> None:
        """Send a request now, or as soon as there is a connection."""
        if self._idle:
            self._send(self._idle.pop(), due_at, request)
            return
        self._waiting.append((due_at, request))
        if len(self._all) + len(self._connecting) >= self._most:
            self._sender.waits()
        elif len(self._connecting) < len(self._waiting):
            self._connect()

    def give_up(self, before: float) -> None:
        """Fail unanswered requests that were due before ``before``."""
        while self._waiting and self._waiting[0][0] < before:
            due_at, _ = self._waiting.popleft()
            self._sender.failed(due_at, "timeout")
        for connection in list(self._all):
            if connection.sending is not None and connection.due_at < before:
                connection.abort("timeout")

    def overdue(self, since: float, before: float) -> int:
        """Return how many unfinished requests were due between these times."""
        return sum(since <= due_at < before for due_at, _ in self._waiting) + sum(
            each.sending is not None and since <= each.due_at < before for each in self._all
        )

    async def close(self) -> None:
        """Close all connections without reporting unfinished requests."""
        self._closed = True
        for task in self._connecting:
            task.cancel()
        for connection in list(self._all):
            connection.abort(_ENDED)
        # the loop tells connections that they were closed in its next iterations
        await asyncio.sleep(0)

    # called by connections

    def opened(self, connection: Connection) -> None:
        """Use a new connection."""
        self._all.add(connection)
        self.largest = max(self.largest, len(self._all))
        self._free(connection)

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Pass on an answer; the connection takes the next waiting request."""
        request, due_at = connection.sending, connection.due_at
        if not isinstance(request, Prepared):
            connection.abort("an answer without a request")
            return
        connection.sending = None
        self._out -= 1
        self._free(connection)
        self._sender.answered(request, due_at, answer)

    def lost(self, connection: Connection, reason: str) -> None:
        """Drop a connection that has ended, and fail its request."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.sending is not None:
            connection.sending = None
            self._out -= 1
            if reason != _ENDED:
                self._sender.failed(connection.due_at, reason)
        self._connect_waiting()

    def _send(self, connection: Connection, due_at: float, request: Prepared) -> None:
        connection.sending = request
        connection.due_at = due_at
        self._out += 1
        connection.send(request.parts)

    def _free(self, connection: Connection) -> None:
        if not connection.is_open:
            return
        if self._waiting:
            self._send(connection, *self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _connect_waiting(self) -> None:
        if len(self._connecting) < len(self._waiting) and not self._closed:
            self._connect()

    def _connect(self) -> None:
        task = asyncio.get_running_loop().create_task(self._opening())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _opening(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), self._address.host, self._address.port, ssl=self._tls
            )
        except OSError as error:
            if self._waiting:
                due_at, _ = self._waiting.popleft()
                self._sender.failed(due_at, reason_of(error))
            self._connect_waiting()


class _One:
    """The sender of a single request."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, request: Prepared, due_at: float, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def failed(self, due_at: float, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionError(reason))

    def waits(self) -> None:
        """Do nothing: waiting requests are not counted here."""


async def ask(
    address: Address, tls: ssl.SSLContext | None, request: Prepared, timeout: float
) -> Answer:
    """Send one request over a new connection and return the answer.

    Raises ConnectionError with the reason.
    """
    sender = _One()
    pool = Pool(address, tls, 1, sender)
    try:
        pool.send(time.monotonic(), request)
        return await asyncio.wait_for(sender.answer, timeout)
    except TimeoutError:
        raise ConnectionError("it does not answer") from None
    finally:
        await pool.close()


def reason_of(error: OSError) -> str:
    """Return why a connection could not be opened."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if error.errno is not None and error.errno > 0 and error.strerror:
        return error.strerror.lower()
    return (str(error) or type(error).__name__).lower()
