"""Sends damaged requests, and says what is wrong with what comes back."""

import asyncio
import contextlib
import json
import socket
import struct
from typing import NamedTuple

from fuzz_cases import INFER, TOKEN, Case, request

STATUSES = {200, 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 429, 431, 501, 505}
"""What a client may be answered while the server is well; the documentation lists them."""
SILENCE_S, HANG_S = 0.05, 30.0


class Wrong(Exception):
    """What should not have come back."""


class Answer(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Fuzzer:
    """A client of a server whose model gives ``factor`` times its input."""

    def __init__(self, port: int, factor: float) -> None:
        self.statuses: dict[int, int] = {}
        self._port = port
        self._factor = factor

    async def run(self, case: Case, number: int) -> None:
        """Send a case, and a right request after it; raises Wrong."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.timeout(HANG_S):
                await self._talk(case, number, reader, writer)
        except TimeoutError:
            raise Wrong("no answer") from None
        finally:
            if case.end == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def witness(self, number: int) -> None:
        """A right request on a connection of its own; raises Wrong."""
        await self.run(Case("witness", (), framed=True), number)

    async def _talk(
        self, case: Case, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tag, wire, expected = self._tagged(number)
        with contextlib.suppress(ConnectionError):
            for piece in case.pieces:
                writer.write(piece)
                await writer.drain()
                if len(case.pieces) > 1:
                    await asyncio.sleep(0.001)
            if case.end == "read":
                writer.write(wire)
                await writer.drain()
            elif case.end == "half":
                writer.write_eof()
        if case.end in ("close", "reset"):
            return
        seen = 0
        is_last = False
        while True:
            answer = await self._next(reader, case, head=case.head and not seen, last=is_last)
            if answer is None:
                break
            if is_last:
                raise Wrong("an answer after the one that closes")
            # half a head takes in the one that follows, and its tag
            is_own = case.framed or answer.status == 200
            if answer.headers.get("x-request-id") == tag and is_own:
                self._check_tagged(answer, expected)
                if case.framed and seen != bool(case.pieces):
                    raise Wrong(f"{seen} answers to one request")
                return
            seen += 1
            is_last = answer.headers["connection"] == "close"
            self._check(answer, head=case.head)
            if case.framed and seen > 1:
                raise Wrong("two answers to one request")
        if case.framed and not is_last:
            raise Wrong("a request that was whole is not answered")

    async def _next(
        self, reader: asyncio.StreamReader, case: Case, *, head: bool, last: bool
    ) -> Answer | None:
        """The next answer, None where the server closes or waits for more of a broken request."""
        try:
            wait = HANG_S if case.framed or case.end == "half" else SILENCE_S
            async with asyncio.timeout(wait):
                first = await reader.read(1)
        except ConnectionError:
            return None
        except TimeoutError:
            if case.framed:
                raise
            return None
        if not first:
            if case.end == "read" and not last:
                raise Wrong("the connection ends though nothing said so")
            return None
        try:
            lines = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            version, status, _ = lines[0].split(" ", 2)
            if version != "HTTP/1.1":
                raise Wrong(f"not an answer: {lines[0]!r}")
            if status == "100":
                return await self._next(reader, case, head=head, last=last)
            headers = {}
            for line in lines[1:-2]:
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            length = 0 if head else int(headers["content-length"])
            return Answer(int(status), headers, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if case.end == "half":
                return None
            raise Wrong(f"an answer is cut short: {error}") from error

    def _check(self, answer: Answer, *, head: bool) -> None:
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status not in STATUSES:
            raise Wrong(f"status {answer.status}: {answer.body[:200]!r}")
        if "x" in answer.headers or answer.headers["connection"] not in ("close", "keep-alive"):
            raise Wrong(f"headers {answer.headers}")
        if answer.status == 200 or head:
            return
        shown = json.loads(answer.body)
        if list(shown) != ["error"] or not isinstance(shown["error"], str):
            raise Wrong(f"the error is {answer.body[:200]!r}")
        if answer.status == 401 and shown["error"] != "a token is needed":
            raise Wrong(f"the error is {answer.body[:200]!r}")

    def _tagged(self, number: int) -> tuple[str, bytes, list[float]]:
        tag = f"fuzz-{number}"
        values = [float(number), -float(number), 0.5, 2.0]
        headers = ("Inference-Header-Content-Length: 0", f"X-Request-Id: {tag}")
        line = f"POST {INFER} HTTP/1.1"
        wire = request(struct.pack("<4f", *values), *headers, line=line)
        return tag, wire, [self._factor * value for value in values]

    def _check_tagged(self, answer: Answer, expected: list[float]) -> None:
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status != 200:
            raise Wrong(f"a right request has {answer.status}: {answer.body[:200]!r}")
        length = int(answer.headers["inference-header-content-length"])
        found = list(struct.unpack("<4f", answer.body[length:]))
        if found != expected:
            raise Wrong(f"a right request has {found}, not {expected}")


async def slow_heads(port: int, count: int) -> list[bytes]:
    """What connections are told that send half a head and then nothing."""

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {INFER} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nX".encode())
        try:
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()

    return await asyncio.gather(*(one() for _ in range(count)))
