"""The same connections over TLS, with a certificate that is made for the test."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

import pytest
from certificates import make_certificate
from echo import LOOPS, Echo, body_of, post, serve, status, talk

from coresplit.serving.http.server import HttpServer


@pytest.fixture(scope="module")
def contexts(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """Of the server and of a client that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make_certificate(certificate, key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    yield server, ssl.create_default_context(cafile=str(certificate))


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(server: HttpServer, contexts: Contexts) -> Client:
    return await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=contexts[1], server_hostname="localhost"
    )


async def said(client: Client, *parts: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server closes."""
    reader, writer = client
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1 << 16), 20):
            found += piece
    writer.close()
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_is_kept_and_bodies_may_come_in_chunks(loop: str, contexts: Contexts) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire = post("/own", b"first", close=False) + head + b"3\r\nabc\r\n0\r\n\r\n"
        for pause in (0.0, 0.01):
            client = await connected(server, contexts)
            await asyncio.sleep(20 * pause)
            answer = await said(client, wire[:70], wire[70:], post("/x", b"last"), pause=pause)
            assert answer.count(b"HTTP/1.1 200 ") == 3
            assert b"first" in answer
            assert b"abc" in answer
            assert answer.endswith(b"last")

    serve(test, loop, contexts[0], drain_s=0.1)


@pytest.mark.parametrize("loop", LOOPS)
def test_megabytes_go_both_ways_also_where_they_are_taken_late(
    loop: str, contexts: Contexts
) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        body = bytes(range(256)) * 80_000
        reader, writer = await connected(server, contexts)
        writer.write(post("/own", body))
        answer = await reader.read(1 << 16)
        await asyncio.sleep(0.6)
        assert body_of(answer + await said((reader, writer))) == body
        await asyncio.sleep(0.1)
        assert app.sent == 1

    serve(test, loop, contexts[0], drain_s=0.2, window_s=5.0)


@pytest.mark.parametrize("loop", LOOPS)
def test_requests_in_one_piece_are_answered_in_order(loop: str, contexts: Contexts) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        bodies = [b"<%d>" % number * 3000 for number in range(60)]
        wire = b"".join(post("/x", body, close=False) for body in bodies)
        sending = await connected(server, contexts)
        answer = await said(sending, wire + post("/x", b"end"))
        at = [answer.index(body) for body in bodies]
        assert at == sorted(at)
        assert answer.endswith(b"end")

    serve(test, loop, contexts[0], pipelined=4)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_that_is_refused_while_it_comes_still_shows_the_answer(
    loop: str, contexts: Contexts
) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        wire = post("/refuse", bytes(3_000_000), "Expect: 100-continue")
        answer = await said(await connected(server, contexts), wire)
        assert (status(answer), body_of(answer)) == (429, b"no")

    serve(test, loop, contexts[0])


@pytest.mark.parametrize("loop", LOOPS)
def test_slow_clients_are_let_go(loop: str, contexts: Contexts) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        for wire in (b"POST /x HT", b"POST /own HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"):
            assert status(await said(await connected(server, contexts), wire)) == 408
        assert await said(await connected(server, contexts)) == b""

    serve(test, loop, contexts[0], head_s=0.3, window_s=0.2, idle_s=0.3)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_without_tls_or_without_a_word_is_let_go(loop: str, contexts: Contexts) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        assert b"HTTP" not in await talk(server, post("/x", b"plain"))
        assert await talk(server) == b""
        assert server.connections == 0

    serve(test, loop, contexts[0], head_s=0.3)


def test_an_answer_that_is_not_taken_stops_the_reading_of_requests(contexts: Contexts) -> None:
    async def test(server: HttpServer, app: Echo) -> None:
        _, writer = await connected(server, contexts)
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 2000:
                    writer.write(post("/x", b"a" * 50_000, close=False))
                    await writer.drain()
                    sent += 1
        assert app.sent < 1000
        writer.transport.abort()

    serve(test, "asyncio", contexts[0])
