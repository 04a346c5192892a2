"""Connections over raw sockets: bodies however they are cut, order, limits, and what is refused."""

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import Callable

import pytest
from echo import LOOPS, Echo, body_of, post, serve, status, talk

from coresplit.serving.http.server import HttpServer


@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_arrives_whole_wherever_it_is_cut(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        request = post("/own", b"0123456789")
        for at in range(1, len(request), 7):
            answer = await talk(server, request[:at], request[at:], pause=0.002)
            assert (status(answer), body_of(answer)) == (200, b"0123456789")

    serve(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_megabytes_go_in_and_out_unchanged(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        body = bytes(range(256)) * 20_000
        answer = await talk(server, post("/own", body))
        assert body_of(answer) == body
        await asyncio.sleep(0.05)
        assert app.sent == 1

    serve(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_pipelined_requests_are_answered_in_order(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        bodies = [b"%d" % number * (1 + 9000 * (number % 3)) for number in range(40)]
        wire = b"".join(post("/x", body, close=False) for body in bodies)
        answer = await talk(server, wire + post("/x", b"end"))
        for body in bodies:
            head, _, answer = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert answer[: len(body)] == body
            answer = answer[len(body) :]
        assert body_of(answer) == b"end"

    serve(test, loop, pipelined=4)


def test_an_answer_that_is_late_holds_those_behind_it_back() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        wire = post("/later", b"first", close=False) + post("/x", b"second")
        talking = asyncio.create_task(talk(server, wire))
        await asyncio.sleep(0.1)
        assert not talking.done()
        app.waiting[0].respond(200, [], [b"first"])
        answer = await talking
        assert answer.index(b"first") < answer.index(b"second")

    serve(test)


@pytest.mark.parametrize("loop", LOOPS)
def test_chunks_are_joined_and_trailers_thrown_away(loop: str) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
        answer = await talk(server, head + chunks, post("/x", b"next"))
        assert b"abcde" in answer
        assert answer.endswith(b"next")

    serve(test, loop)


def test_a_client_that_waits_is_told_to_go_on_only_where_the_body_is_wanted() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        for path, first in (("/x", b"HTTP/1.1 100 "), ("/refuse", b"HTTP/1.1 429 ")):
            request = post(path, b"body", "Expect: 100-continue")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request[:-4])
            assert (await reader.readuntil(b"\r\n")).startswith(first)
            writer.write(request[-4:])
            rest = await reader.read()
            assert (b"body" in rest) == (path == "/x")
            writer.close()

    serve(test)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed_both_ways(coding: str, pack: Callable[[bytes], bytes]) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        body = b"tensor" * 5000
        accept = f"Accept-Encoding: {coding}"
        answer = await talk(server, post("/x", pack(body), f"Content-Encoding: {coding}", accept))
        assert f"Content-Encoding: {coding}".encode() in answer
        unpack = gzip.decompress if coding == "gzip" else zlib.decompress
        assert unpack(body_of(answer)) == body

    serve(test)


def test_a_bomb_is_refused_before_it_fills_memory() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        bomb = gzip.compress(bytes(50_000_000))
        answer = await talk(server, post("/x", bomb, "Content-Encoding: gzip"))
        assert status(answer) == 413
        assert app.left == ["/x"]

    serve(test, body_bytes=1 << 20)


REFUSED = {
    "length and chunks": (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 3\r\n", 400),
    "plus": (b"Content-Length: +3\r\n", 400),
    "hex": (b"Content-Length: 0x3\r\n", 400),
    "minus": (b"Content-Length: -3\r\n", 400),
    "space before colon": (b"Content-Length : 3\r\n", 400),
    "folded": (b"X: a\r\n b\r\nContent-Length: 3\r\n", 400),
    "identity": (b"Transfer-Encoding: chunked, identity\r\n", 400),
    "gzip coding": (b"Transfer-Encoding: gzip\r\n", 400),
    "null": (b"X: a\x00b\r\n", 400),
    "bare line feed": (b"X: a\nY: b\r\n", 400),
    "too long": (b"Content-Length: 99999999999\r\n", 413),
    "unknown coding": (b"Content-Length: 3\r\nContent-Encoding: br\r\n", 415),
    "expectation": (b"Content-Length: 3\r\nExpect: tea\r\n", 417),
    "huge head": (b"X: " + b"a" * 70_000 + b"\r\n", 431),
    "many headers": (b"X: a\r\n" * 200, 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(name: str) -> None:
    headers, expected = REFUSED[name]

    async def test(server: HttpServer, app: Echo) -> None:
        wire = b"POST /x HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"
        answer = await talk(server, wire + b"abc" + post("/x", b"smuggled"))
        assert status(answer) == expected
        assert "error" in json.loads(body_of(answer))
        assert b"smuggled" not in answer
        assert b"Connection: close" in answer

    serve(test)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET /x HTTP/1.1\r\n\r\n", 400),
        (b"GET /x HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"BREW /x HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
    ids=["no host", "version", "method", "escape", "long", "tls"],
)
def test_a_malformed_head_is_refused(request_line: bytes, expected: int) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        assert status(await talk(server, request_line)) == expected

    serve(test)


def test_a_body_that_nobody_wants_is_thrown_away_so_that_the_answer_is_seen() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        answer = await talk(server, post("/refuse", bytes(300_000)))
        assert (status(answer), body_of(answer)) == (429, b"no")

    serve(test)


def test_slow_clients_are_let_go() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        assert status(await talk(server, b"POST /x HT")) == 408
        head = b"POST /own HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
        assert status(await talk(server, head, b"a")) == 408
        assert await talk(server) == b""

    serve(test, head_s=0.2, window_s=0.2, idle_s=0.3)


def test_a_client_that_leaves_is_noticed_once() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        for wire in (post("/later", b"x", close=False), post("/own", b"x" * 99)[:-5]):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(wire)
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
        assert app.left == ["/later", "/own"]
        app.waiting[0].respond(200, [], [b"too late"])

    serve(test)


def test_head_has_no_body_and_old_clients_are_closed() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        answer = await talk(server, b"HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert body_of(answer) == b""
        assert status(await talk(server, b"GET /x HTTP/1.0\r\n\r\n")) == 200

    serve(test)


def test_too_many_connections_are_refused_with_503() -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        keeping = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert status(await talk(server, post("/x", b"a"))) == 503
        assert server.refused == 1
        for _, writer in keeping:
            writer.close()

    serve(test, connections=2)
