"""A server of plain HTTP that answers with what it gets, and raw talk with it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from coresplit.serving.http.exchange import Exchange
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.server import HttpServer
from coresplit.serving.run import new_event_loop

LOOPS = ["asyncio", "uvloop"]


class Echo:
    """Answers with the body; ``/later`` waits, ``/refuse`` wants none, ``/own`` has a place."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.waiting: list[Exchange] = []
        self.sent = 0

    def begin(self, exchange: Exchange) -> memoryview | None:
        if exchange.head.path == "/refuse":
            exchange.respond(429, [], [b"no"])
        if exchange.head.path == "/own" and exchange.head.length:
            return memoryview(bytearray(exchange.head.length))
        return None

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        if exchange.head.path == "/later":
            self.waiting.append(exchange)
            return
        exchange.respond(200, [], [body], compress=True, on_sent=self._sent)

    def gone(self, exchange: Exchange) -> None:
        self.left.append(exchange.head.path)

    def _sent(self) -> None:
        self.sent += 1


Scene = Callable[[HttpServer, Echo], Coroutine[Any, Any, None]]


def serve(
    test: Scene,
    loop: str = "asyncio",
    tls: ssl.SSLContext | None = None,
    **limits: Any,  # noqa: ANN401
) -> None:
    """Run a test beside a server, on one kind of event loop, bounded in time."""

    async def main() -> None:
        app = Echo()
        async with listening(app, Limits(**limits), tls) as server:
            await test(server, app)

    factory = asyncio.new_event_loop if loop == "asyncio" else new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(main(), 60))


@contextlib.asynccontextmanager
async def listening(
    app: Echo, limits: Limits, tls: ssl.SSLContext | None
) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, limits)
    await server.start("127.0.0.1", 0, tls)
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(0.05)


async def talk(server: HttpServer, *parts: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server closes, for parts that are sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    with contextlib.suppress(ConnectionError):
        found = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return found


def post(path: str, body: bytes, *headers: str, close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]
