"""A server whose answers are scripted, on the event loop of a test."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from coresplit.loading.asked import Load, Requests
from coresplit.loading.driver import Driver
from coresplit.loading.one import load_once
from coresplit.loading.protocols.source import open_source
from coresplit.loading.shapes import constant
from coresplit.records.load import LoadRun

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Seen(msgspec.Struct):
    """A request as it came, numbered from 0; ``at`` is the time of the loop."""

    number: int
    at: float
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Seen], Awaitable[bytes | None]]
"""What is answered; None to hang up."""


class Scripted:
    """Answers by a script, and remembers what came."""

    def __init__(self, script: Script) -> None:
        self.seen: list[Seen] = []
        self.busy = 0
        self.most_busy = 0
        self.connections = 0
        self.port = 0
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # transports close in the next turns of the loop
        await asyncio.sleep(0.01)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        now = asyncio.get_running_loop().time()
        seen = Seen(len(self.seen), now, first.split()[1], headers, body)
        self.seen.append(seen)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            answer = await self._script(seen)
        finally:
            self.busy -= 1
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return b"connection: close" not in answer.lower() and b"\r\n" in answer


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    server = Scripted(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.end()


async def at_once(seen: Seen) -> bytes | None:
    return OK


def loaded(
    script: Script,
    load: Load,
    body: Path,
    *,
    verify: bool = False,
    on_driver: Callable[[Driver], None] = lambda driver: None,
) -> tuple[LoadRun, Scripted]:
    """Load a scripted server with a file."""

    async def run() -> tuple[LoadRun, Scripted]:
        async with scripted(script) as server:
            requests = Requests(
                url=f"{server.url}/x", protocol="raw", body=str(body), verify=verify
            )
            source = await open_source(requests)
            return await load_once(source, requests, load, on_driver=on_driver), server

    return asyncio.run(run())


def closed(clients: int, **more: object) -> Load:
    return msgspec.convert({"asked": "closed", "concurrency": clients, **more}, Load)


def steady(rate: float, **more: object) -> Load:
    asked = Load(asked="open", pieces=constant(rate), arrivals="constant")
    return msgspec.structs.replace(asked, **more)


def json_answer(value: object, header: str = "") -> bytes:
    body = json.dumps(value).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{header}\r\n".encode() + body
