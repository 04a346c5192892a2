"""Clients that mean harm: what one connection may take of memory, of time, and of others."""

import asyncio
import contextlib
import gzip
import json
import socket

import pytest
from echo import LOOPS, Echo, body_of, post, serve, status, talk

from coresplit.serving.http.exchange import Exchange
from coresplit.serving.http.server import HttpServer

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def connected(server: HttpServer) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", server.port))
    return client


async def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.get_running_loop().sock_recv(client, 1 << 16):
            found += piece
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_answers_that_are_not_taken_stop_the_reading_of_requests(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        client = await connected(server)
        wire = post("/x", b"a" * 50_000, close=False)
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 2000:
                    await asyncio.get_running_loop().sock_sendall(client, wire)
                    sent += 1
        # kernel buffers take some; what the server would keep has no bound
        assert sent < 1000
        assert app.sent < 500
        client.close()

    serve(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_requests_whose_answers_waited_are_taken_up_again(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        client = await connected(server)
        body = b"a" * 200_000
        wire = post("/x", body, close=False) * 20 + post("/x", b"end")
        sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(client, wire))
        await asyncio.sleep(0.2)
        answers = await read_all(client)
        await sending
        client.close()
        assert answers.count(b"HTTP/1.1 200 ") == 21
        assert answers.endswith(b"end")

    serve(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_connection_of_many_requests_leaves_turns_to_others(loop: str) -> None:
    seen: list[str] = []

    class Noting(Echo):
        def complete(self, exchange: Exchange, body: memoryview) -> None:
            seen.append(exchange.head.path)
            super().complete(exchange, body)

    async def test(server: HttpServer, app: Echo) -> None:
        server.app = Noting()
        flood = asyncio.create_task(talk(server, GET * 1500 + post("/x", b"last")))
        await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError):
            other = asyncio.create_task(talk(server, post("/other", b"a")))
            assert status(await other) == 200
        assert (await flood).count(b"HTTP/1.1 200 ") == 1501
        assert seen.index("/other") < len(seen) - 100

    serve(test, loop)


def test_an_answer_given_before_an_unknown_body_says_that_it_is_the_last() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        wire = CHUNKED.replace(b"/x", b"/refuse") + b"1\r\na\r\n0\r\n\r\n" + post("/x", b"next")
        answer = await talk(server, wire)
        assert status(answer) == 429
        assert b"Connection: close" in answer
        assert b"keep-alive" not in answer
        assert answer.count(b"HTTP/1.1 ") == 1

    serve(test)


def test_what_follows_a_request_that_closes_is_no_request() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        wire = post("/later", b"a") + post("/x", b"b", close=False) + post("/later", b"c")
        talking = asyncio.create_task(talk(server, wire))
        await asyncio.sleep(0.1)
        assert len(app.waiting) == 1
        app.waiting[0].respond(200, [], [b"only"])
        answer = await talking
        assert answer.count(b"HTTP/1.1 ") == 1
        assert app.left == []

    serve(test)


def test_memory_of_answers_that_nobody_will_hear_is_given_back() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        given_back: list[int] = []
        wire = post("/later", b"a", close=False) * 3 + b"BROKEN\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(wire)
        await asyncio.sleep(0.1)
        for number in (1, 2):
            app.waiting[number].respond(200, [], [b"x"], on_sent=lambda: given_back.append(1))
        server.draining = True
        writer.close()
        await asyncio.sleep(0.1)
        assert given_back == [1, 1]
        assert app.left == ["/later"]
        assert await reader.read() == b""

    serve(test)


def test_every_request_that_was_accepted_is_answered_while_the_server_drains() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        talking = asyncio.create_task(talk(server, post("/later", b"a", close=False) * 3))
        await asyncio.sleep(0.1)
        draining = asyncio.create_task(server.drain(5))
        await asyncio.sleep(0.05)
        for exchange in app.waiting:
            exchange.respond(200, [], [b"done"])
        answer = await talking
        assert answer.count(b"done") == 3
        assert answer.count(b"Connection: close") == 1
        assert await draining

    serve(test)


def test_a_body_that_is_slow_after_its_answer_gets_no_second_answer() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        head = b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"
        answer = await talk(server, head, b"a")
        assert (status(answer), answer.count(b"HTTP/1.1 ")) == (429, 1)

    serve(test, window_s=0.2)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_last_answer_that_is_taken_late_arrives_whole(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 16)
        body = bytes(range(256)) * 80_000
        writer.write(post("/own", body))
        answer = await reader.read(1 << 16)
        # more than the kernel takes waits in the server by now, and later in the kernel alone
        for pause, size in ((0.6, 17_000_000), (0.6, len(body))):
            await asyncio.sleep(pause)
            while len(answer) < size and (piece := await reader.read(1 << 20)):
                answer += piece
        writer.close()
        assert body_of(answer) == body

    serve(test, loop, drain_s=0.2, window_s=5.0)


def test_a_body_has_a_longest_time_however_steadily_it_comes() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        head = b"POST /own HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
        answer = await talk(server, head, *[b"a" * 10] * 60, pause=0.02)
        assert status(answer) == 408

    serve(test, body_s=0.3, window_s=0.1, window_bytes=1)


def test_bodies_without_a_place_share_a_bound() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        part = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
        first = await asyncio.open_connection("127.0.0.1", server.port)
        first[1].write(CHUNKED + part * 2)
        await asyncio.sleep(0.1)
        assert server.room.taken == 0x10000
        answer = await talk(server, CHUNKED, part, part)
        assert (status(answer), b"Retry-After: 1" in answer) == (429, True)
        first[1].write(b"0\r\n\r\n")
        assert b"200 OK" in await first[0].readuntil(b"\r\n")
        first[1].close()
        packed = gzip.compress(bytes(100_000))
        assert status(await talk(server, post("/x", packed, "Content-Encoding: gzip"))) == 429
        await asyncio.sleep(0.1)
        assert server.room.taken == 0

    serve(test, unplaced_bytes=0x17000)


def test_a_connection_begins_no_more_while_its_bodies_are_large() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        wire = post("/later", b"a" * 600, close=False) * 4
        talking = asyncio.create_task(talk(server, wire + post("/x", b"end")))
        await asyncio.sleep(0.1)
        assert len(app.waiting) == 2
        for number in range(4):
            app.waiting[number].respond(200, [], [b"done"])
            await asyncio.sleep(0.05)
        assert (await talking).count(b"done") == 4

    serve(test, pipelined_bytes=1000)


def test_a_client_that_says_nothing_at_all_is_let_go_early() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        assert await talk(server) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.6)
        writer.close()

    serve(test, head_s=0.2, idle_s=60.0)


def test_empty_lines_in_a_chunk_are_its_data() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        data = b"\r\n" * 30_000
        for cut in (1, 2, 3, 70_000):
            wire = b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n"
            answer = await talk(server, CHUNKED + wire[:cut], wire[cut:], post("/x", b"next"))
            assert data in answer
            assert answer.endswith(b"next")

    serve(test)


def test_the_error_of_a_refused_connection_is_json() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        answer = await talk(server, b"POST /x HT\x00TP")
        assert status(answer) == 400
        assert list(json.loads(body_of(answer))) == ["error"]

    serve(test)
