"""Requests that two servers in a row could cut differently: refused, or read in the one right way.

Each case is followed by a request for ``/next``. Where a case is refused, the connection ends and
nobody sees that one; else what the server saw is exactly what is listed, and then ``/next``.
"""

import json
import re
from collections.abc import Sequence

import pytest
from echo import LOOPS, Echo, body_of, serve, status, talk

from coresplit.serving.http.exchange import Exchange
from coresplit.serving.http.server import HttpServer

Seen = tuple[str, str, bytes]
NEXT = b"POST /next HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
ABC = b"3\r\nabc\r\n" + LAST


class Noting(Echo):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        head = exchange.head
        self.seen.append((head.method, head.path, bytes(body)))
        exchange.respond(200, [], [b"fine"])


def post(headers: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST /a HTTP/" + version + b"\r\nHost: x\r\n" + headers + b"\r\n" + body


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body)


def get(target: bytes, headers: bytes = b"Host: x\r\n") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + headers + b"\r\n"


REFUSED: dict[str, tuple[bytes, int]] = {
    "CL.TE": (post(b"Content-Length: 5\r\n" + CHUNKED, LAST + SMUGGLED), 400),
    "TE.CL": (post(CHUNKED + b"Content-Length: 5\r\n", LAST + SMUGGLED), 400),
    "CL of 0 and TE": (post(b"Content-Length: 0\r\n" + CHUNKED, LAST), 400),
    "equal lengths": (post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    "other lengths": (post(b"Content-Length: 3\r\nContent-Length: 5\r\n", b"abcde"), 400),
    "listed lengths": (post(b"Content-Length: 3, 3\r\n", b"abc"), 400),
    "listed other lengths": (post(b"Content-Length: 3,5\r\n", b"abcde"), 400),
    "length with plus": (post(b"Content-Length: +3\r\n", b"abc"), 400),
    "length with minus": (post(b"Content-Length: -3\r\n", b"abc"), 400),
    "length in hex": (post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    "length with underscore": (post(b"Content-Length: 0_3\r\n", b"abc"), 400),
    "length with a point": (post(b"Content-Length: 3.0\r\n", b"abc"), 400),
    "length with a space within": (post(b"Content-Length: 3 3\r\n", b"abc"), 400),
    "length in Arabic digits": (post("Content-Length: ٣\r\n".encode(), b"abc"), 400),
    "no length after the colon": (post(b"Content-Length:\r\n", b""), 400),
    "length with a vertical tab": (post(b"Content-Length: \x0b3\r\n", b"abc"), 400),
    "length beyond 64 bits": (post(b"Content-Length: 18446744073709551619\r\n", b"abc"), 400),
    "length beyond 63 bits": (post(b"Content-Length: 9223372036854775811\r\n", b"abc"), 400),
    "space before the colon of a length": (post(b"Content-Length : 3\r\n", b"abc"), 400),
    "tab before the colon of a coding": (post(b"Transfer-Encoding\t: chunked\r\n", ABC), 400),
    "space before a name": (post(b" Content-Length: 3\r\n", b"abc"), 400),
    "folded length": (post(b"Content-Length:\r\n 3\r\n", b"abc"), 400),
    "folded coding": (post(b"Transfer-Encoding:\r\n chunked\r\n", ABC), 400),
    "folded header": (post(b"A: b\r\n c\r\nContent-Length: 3\r\n", b"abc"), 400),
    "bare LF ends a header": (post(b"A: b\nContent-Length: 3\r\n", b"abc"), 400),
    "bare CR in a header": (post(b"A: \rTransfer-Encoding: chunked\r\n", ABC), 400),
    "bare CR and a letter": (post(b"A: b\rxTransfer-Encoding: chunked\r\n", ABC), 400),
    "bare LF ends the head": (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\nabc", 400),
    "two bare LF end the head": (b"GET /a HTTP/1.1\r\nHost: x\n\n", 400),
    "bare LF after the line": (b"GET /a HTTP/1.1\nHost: x\r\n\r\n", 400),
    "CR CR LF": (b"GET /a HTTP/1.1\r\nHost: x\r\r\n\r\n", 400),
    "NUL in a value": (post(b"A: b\0c\r\nContent-Length: 3\r\n", b"abc"), 400),
    "NUL in a name": (post(b"Content-Length\0: 3\r\n", b"abc"), 400),
    "NUL in the target": (get(b"/a\0b"), 400),
    "other control character": (post(b"A: \x01\r\n", b""), 400),
    "no colon": (post(b"Content-Length 3\r\n", b"abc"), 400),
    "no name": (post(b": 3\r\n", b"abc"), 400),
    "brackets in a name": (post(b"Content(Length): 3\r\n", b"abc"), 400),
    "two codings": (post(CHUNKED * 2, ABC), 400),
    "two codings, one damaged": (post(CHUNKED + b"Transfer-Encoding: x\r\n", ABC), 400),
    "identity after chunked": (post(b"Transfer-Encoding: chunked, identity\r\n", ABC), 400),
    "identity": (post(b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n", b"abc"), 400),
    "identity alone": (post(b"Transfer-Encoding: identity\r\n", b""), 400),
    "identity before chunked": (post(b"Transfer-Encoding: identity, chunked\r\n", ABC), 501),
    "gzip before chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", ABC), 501),
    "xchunked": (post(b"Transfer-Encoding: xchunked\r\n", ABC), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked\r\n", ABC), 400),
    "chunked with a comma": (post(b"Transfer-Encoding: chunked,\r\n", ABC), 400),
    "comma and chunked": (post(b"Transfer-Encoding: ,chunked\r\n", ABC), 501),
    "quoted chunked": (post(b'Transfer-Encoding: "chunked"\r\n', ABC), 400),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1\r\n", ABC), 400),
    "chunked before a tab": (post(b"Transfer-Encoding: chunked \t\r\n", ABC), 400),
    "vertical tab and chunked": (post(b"Transfer-Encoding: \x0bchunked\r\n", ABC), 400),
    "no coding after the colon": (post(b"Transfer-Encoding:\r\n", ABC), 400),
    "HTTP/1.0 and chunks": (post(CHUNKED, ABC, b"1.0"), 400),
    "HTTP/1.0, chunks, kept": (post(CHUNKED + b"Connection: keep-alive\r\n", ABC, b"1.0"), 400),
    "chunk size in 0x": (chunks(b"0x3\r\nabc\r\n" + LAST), 400),
    "chunk size with plus": (chunks(b"+3\r\nabc\r\n" + LAST), 400),
    "chunk size with minus": (chunks(b"-3\r\nabc\r\n" + LAST), 400),
    "chunk size after a space": (chunks(b" 3\r\nabc\r\n" + LAST), 400),
    "chunk size before a space": (chunks(b"3 \r\nabc\r\n" + LAST), 400),
    "chunk size with underscore": (chunks(b"0_3\r\nabc\r\n" + LAST), 400),
    "chunk size and letters": (chunks(b"3xyz\r\nabc\r\n" + LAST), 400),
    "no chunk size": (chunks(b"\r\nabc\r\n" + LAST), 400),
    "chunk size after an empty line": (chunks(b"\r\n" + ABC), 400),
    "chunk size after CR": (chunks(b"\r3\r\nabc\r\n" + LAST), 400),
    "chunk size beyond 64 bits": (chunks(b"1" + b"0" * 15 + b"03\r\nabc\r\n" + LAST), 400),
    "chunk size of 2**64 + 3": (chunks(b"10000000000000003\r\nabc\r\n" + LAST), 400),
    "chunk size and bare LF": (chunks(b"3\nabc\r\n" + LAST), 400),
    "chunk size and bare CR": (chunks(b"3\rabc\r\n" + LAST), 400),
    "LF in a chunk extension": (chunks(b"3;a\nabc\r\n" + LAST), 400),
    "LF in the value of an extension": (chunks(b"3;a=b\nxx\r\nabc\r\n" + LAST), 400),
    "CR in a chunk extension": (chunks(b"3;a\rb\r\nabc\r\n" + LAST), 400),
    "NUL in a chunk extension": (chunks(b"3;\0\r\nabc\r\n" + LAST), 400),
    "open quote in an extension": (chunks(b'3;a="b\r\nabc\r\n' + LAST), 400),
    "no CRLF after a chunk": (chunks(b"3\r\nabc0\r\n\r\n"), 400),
    "LF after a chunk": (chunks(b"3\r\nabc\n" + LAST), 400),
    "CR after a chunk": (chunks(b"3\r\nabc\r" + LAST), 400),
    "chunk longer than told": (chunks(b"3\r\nabcdef\r\n" + LAST), 400),
    "last chunk and bare LF": (chunks(b"0\n\n"), 400),
    "last chunk, CRLF and LF": (chunks(b"0\r\n\n"), 400),
    "length as a trailer": (chunks(b"0\r\nContent-Length: 3\r\n\r\n"), 400),
    "coding as a trailer": (chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
    "folded trailer": (chunks(b"0\r\nA: b\r\n c\r\n\r\n"), 400),
    "trailer with LF": (chunks(b"0\r\nA: b\n\r\n"), 400),
    "trailer without a colon": (chunks(b"0\r\nA\r\n\r\n"), 400),
    "final CRLF missing": (chunks(b"3\r\nabc\r\n0\r\n"), 400),
    "extensions without end": (chunks(b"3;" + b"a" * 40_000 + b"\r\nabc\r\n" + LAST), 400),
    "no host": (get(b"/a", b""), 400),
    "two hosts": (get(b"/a", b"Host: x\r\nHost: x\r\n"), 400),
    "a host that is a list": (get(b"/a", b"Host: x, y\r\n"), 400),
    "a host with a path": (get(b"/a", b"Host: x/y\r\n"), 400),
    "a host with a user": (get(b"/a", b"Host: u@x\r\n"), 400),
    "a host with a space": (get(b"/a", b"Host: x y\r\n"), 400),
    "authority as target": (get(b"x:80"), 400),
    "target with a user": (get(b"http://u@x/a"), 400),
    "target of another scheme": (get(b"file:///etc/passwd"), 400),
    "target without a slash": (get(b"a"), 400),
    "target with a fragment": (get(b"/a#b"), 400),
    "target with a space": (get(b"/a b"), 400),
    "no target": (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "unknown method": (b"SMUGGLE /a HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "method in small letters": (b"get /a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /a\r\n\r\n", 505),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "version in small letters": (b"GET /a http/1.1\r\nHost: x\r\n\r\n", 400),
    "version of three digits": (b"GET /a HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    "space after the version": (b"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    "tab after the method": (b"GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "another protocol": (b"GET /a RTSP/1.0\r\nHost: x\r\n\r\n", 400),
    "another protocol and its method": (b"OPTIONS /a RTSP/1.0\r\nHost: x\r\n\r\n", 400),
    "a stream's source": (b"SOURCE /a ICE/1.0\r\nHost: x\r\n\r\n", 400),
}

READ: dict[str, tuple[bytes, Sequence[Seen]]] = {
    "length among spaces": (post(b"Content-Length: \t3 \t\r\n", b"abc"), [("POST", "/a", b"abc")]),
    "length without a space": (post(b"Content-Length:3\r\n", b"abc"), [("POST", "/a", b"abc")]),
    "length with zeros": (post(b"Content-Length: 003\r\n", b"abc"), [("POST", "/a", b"abc")]),
    "name of a length in capitals": (
        post(b"CONTENT-LENGTH: 3\r\n", b"abc"),
        [("POST", "/a", b"abc")],
    ),
    "a body like a request": (
        post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
        [("POST", "/a", SMUGGLED)],
    ),
    "no length and no body": (
        post(b"", SMUGGLED),
        [("POST", "/a", b""), ("GET", "/smuggled", b"")],
    ),
    "a body of GET": (
        get(b"/a", b"Host: x\r\nContent-Length: 3\r\n") + b"abc",
        [("GET", "/a", b"abc")],
    ),
    "chunks of GET": (get(b"/a", b"Host: x\r\n" + CHUNKED) + ABC, [("GET", "/a", b"abc")]),
    "length named by Connection": (
        post(b"Connection: Content-Length\r\nContent-Length: 3\r\n", b"abc"),
        [("POST", "/a", b"abc")],
    ),
    "a header like a coding": (
        post(b"X-Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"abc"),
        [("POST", "/a", b"abc")],
    ),
    "a header with underscores": (
        post(b"Content_Length: 9\r\nContent-Length: 3\r\n", b"abc"),
        [("POST", "/a", b"abc")],
    ),
    "chunked in capitals": (
        post(b"transfer-encoding:CHUNKED\r\n", ABC),
        [("POST", "/a", b"abc")],
    ),
    "chunked among spaces": (
        post(b"Transfer-Encoding: \t chunked  \r\n", ABC),
        [("POST", "/a", b"abc")],
    ),
    "chunk size with zeros": (
        chunks(b"0" * 40 + b"3\r\nabc\r\n000\r\n\r\n"),
        [("POST", "/a", b"abc")],
    ),
    "chunk size in capitals": (
        chunks(b"A\r\n0123456789\r\n" + LAST),
        [("POST", "/a", b"0123456789")],
    ),
    "chunk extensions": (
        chunks(b'3;a;b=c;d="e"\r\nabc\r\n0;f\r\n\r\n'),
        [("POST", "/a", b"abc")],
    ),
    "a trailer": (chunks(b"3\r\nabc\r\n0\r\nHost: y\r\nX: z\r\n\r\n"), [("POST", "/a", b"abc")]),
    "a chunk like an end": (
        chunks(b"9\r\n\r\n0\r\n\r\n\r\n\r\n" + LAST),
        [("POST", "/a", b"\r\n0\r\n\r\n\r\n")],
    ),
    "a request after the last chunk": (
        chunks(LAST + SMUGGLED),
        [("POST", "/a", b""), ("GET", "/smuggled", b"")],
    ),
    "empty lines before a request": (b"\r\n\r\n" + get(b"/a"), [("GET", "/a", b"")]),
    "two spaces before the target": (get(b" /a"), [("GET", "/a", b"")]),
    "an address as target": (get(b"http://y:80/a?b"), [("GET", "/a", b"")]),
    "an address without a path": (get(b"http://y"), [("GET", "/", b"")]),
    "two slashes": (get(b"//y/a"), [("GET", "//y/a", b"")]),
    "dots": (get(b"/../a"), [("GET", "/../a", b"")]),
    "OPTIONS of everything": (
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        [("OPTIONS", "*", b"")],
    ),
    "TRACE": (b"TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", [("TRACE", "/a", b"")]),
    "an upgrade to h2c": (
        post(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
            b"Content-Length: 3\r\n",
            b"abc",
        ),
        [("POST", "/a", b"abc")],
    ),
    "an upgrade with chunks": (
        post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + CHUNKED, ABC),
        [("POST", "/a", b"abc")],
    ),
    "HTTP/1.0 that is kept": (
        post(b"Connection: keep-alive\r\nContent-Length: 3\r\n", b"abc", b"1.0"),
        [("POST", "/a", b"abc")],
    ),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_cut_in_two_ways_is_refused_and_nothing_more_is_read(
    name: str, loop: str
) -> None:
    wire, expected = REFUSED[name]
    app = Noting()

    async def test(server: HttpServer, _: Echo) -> None:
        server.app = app
        for parts in ([wire + NEXT], [wire, NEXT], [wire[:-1], wire[-1:] + NEXT]):
            answer = await talk(server, *parts, pause=0.002 * (len(parts) > 1))
            assert status(answer) == expected
            assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1
            assert b"Connection: close" in answer
            assert list(json.loads(body_of(answer))) == ["error"]
        assert app.seen == []

    serve(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", READ)
def test_what_can_be_cut_in_one_way_is_read_so(name: str, loop: str) -> None:
    wire, expected = READ[name]
    app = Noting()

    async def test(server: HttpServer, _: Echo) -> None:
        server.app = app
        for parts in ([wire + NEXT], [wire, NEXT], [bytes([byte]) for byte in wire] + [NEXT]):
            app.seen.clear()
            answer = await talk(server, *parts)
            assert app.seen == [*expected, ("POST", "/next", b"ok")]
            assert answer.count(b"HTTP/1.1 200 ") == len(app.seen)

    serve(test, loop)


@pytest.mark.parametrize("name", READ)
def test_a_request_that_is_cut_short_is_none(name: str) -> None:
    wire, expected = READ[name]
    app = Noting()

    async def test(server: HttpServer, _: Echo) -> None:
        server.app = app
        await talk(server, wire[:-1], pause=0.01)
        assert len(app.seen) == len(expected) - 1

    serve(test, head_s=0.1, window_s=0.05)
