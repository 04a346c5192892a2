"""Requests that are damaged on purpose, each made by its seed and number alone.

The served model takes ``x``, FP32 of [rows, 4]. A case is *framed* where its end is certain however
wrong it is otherwise: it has one answer, and the connection goes on with the next request.
"""

import gzip
import json
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

MODEL = "echo"
TOKEN = "a token for tests alone"
INFER = f"/v2/models/{MODEL}/infer"
End = Literal["read", "close", "half", "reset"]


class Case(NamedTuple):
    """What is sent piece by piece, and how the client ends."""

    kind: str
    pieces: tuple[bytes, ...]
    framed: bool = False
    end: End = "read"
    head: bool = False
    """Whether the one answer has no body."""


def case(seed: int, number: int) -> Case:
    """The case of this number; the same at every call."""
    draw = random.Random(f"{seed}/{number}")
    kind = draw.choice(list(KINDS))
    return KINDS[kind](draw)._replace(kind=kind)


def request(
    body: bytes,
    *headers: str,
    line: str = f"POST {INFER} HTTP/1.1",
    length: bool = True,
    token: bool = True,
) -> bytes:
    """One request that is right but for what is given."""
    lines = [line, "Host: x", *headers]
    lines += [f"Authorization: Bearer {TOKEN}"] if token else []
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body: bytes, draw: random.Random) -> bytes:
    """A body in chunks of any size."""
    wire = b""
    while body:
        count = draw.randint(1, len(body))
        wire += b"%x\r\n" % count + body[:count] + b"\r\n"
        body = body[count:]
    return wire + b"0\r\n\r\n"


def rows(draw: random.Random, count: int = 0) -> bytes:
    """Raw rows of numbers."""
    count = 4 * (count or draw.randint(1, 3))
    return struct.pack(f"<{count}f", *(draw.uniform(-9, 9) for _ in range(count)))


def document(draw: random.Random) -> dict[str, object]:
    """A request in JSON that is right."""
    count = draw.randint(1, 3)
    data = [round(draw.uniform(-9, 9), 3) for _ in range(4 * count)]
    return {
        "id": f"case {draw.random()}",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [count, 4], "data": data}],
    }


def plain(draw: random.Random) -> bytes:
    """A request that is right, of any form."""
    form = draw.randrange(4)
    if form == 0:
        return request(rows(draw), "Inference-Header-Content-Length: 0")
    if form == 1:
        return request(json.dumps(document(draw)).encode())
    if form == 2:
        body = json.dumps(document(draw)).encode()
        wire = request(b"", "Transfer-Encoding: chunked", length=False)
        return wire + chunked(body, draw)
    return request(b"", line=f"GET {draw.choice(['/v2', '/metrics', '/v2/health/ready'])} HTTP/1.1")


def damaged(wire: bytes, draw: random.Random) -> bytes:
    """One to four bytes or spans changed, doubled, moved or lost."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(wire) + 1)
        span = draw.choice([1, 1, 2, 4, 16])
        what = draw.randrange(6)
        if what == 0:
            wire = wire[:at] + wire[at + span :]
        elif what == 1:
            wire = wire[:at] + wire[at : at + span] * 2 + wire[at + span :]
        elif what == 2:
            wire = wire[:at] + draw.randbytes(span) + wire[at + span :]
        elif what == 3:
            wire = wire[:at] + draw.choice(_STRANGE) + wire[at:]
        elif what == 4:
            wire = wire[:at] + draw.choice(_STRANGE) + wire[at + span :]
        elif wire:
            other = draw.randrange(len(wire))
            wire = wire[:at] + wire[other : other + span] + wire[at:]
    return wire


_STRANGE = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\r\n\r\n", b"\r\n ", b"\x7f"),
    *(b"\xff", b"0", b"-1", b"+1", b"0x1", b"99999999999999999999", b"chunked", b"HTTP/1.1"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"[", b"{", b'"', b"\\", b"%"),
    *(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", b"null", b"1e999", b"NaN", b"\xed\xa0\x80"),
]


def _head(draw: random.Random) -> Case:
    head, _, body = plain(draw).partition(b"\r\n\r\n")
    return Case("", (damaged(head + b"\r\n\r\n", draw) + body,))


def _anything(draw: random.Random) -> Case:
    return Case("", (damaged(plain(draw), draw),))


def _line(draw: random.Random) -> Case:
    method = draw.choice(["GET", "POST", "PUT", "get", "BREW", "TRACE", "OPTIONS", "CONNECT", ""])
    target = draw.choice(
        [
            *(INFER, "*", "/", "", "x:80", "http://x/v2", "http://user@x/v2", "http://", "//v2"),
            *("/v2/../metrics", "/v2/%2e%2e/etc/passwd", "/v2/models/%00", "/v2/models/%ff", "/%"),
            *("/v2?a=b#c", "/v2 HTTP/1.1", "/" + "a" * 9000, "file:///etc/passwd", "/v2/\xff"),
        ]
    )
    version = draw.choice(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "RTSP/1.0"])
    space = draw.choice([" ", " ", " ", "  ", "\t", ""])
    return Case("", (request(b"", line=f"{method}{space}{target}{space}{version}"),))


def _length(draw: random.Random) -> Case:
    body = rows(draw)
    n = len(body)
    value = draw.choice(
        [
            *(f"+{n}", f"-{n}", f" {n}", f"{n} ", f"{n}, {n}", f"{n}, 5", f"0{n}", f"0x{n:x}"),
            *(f"{n}.0", f"{n}e0", "", " ", f"{n};", f"{n}_0", "٤", "9" * 30, str(1 << 63)),
            *(str((64 << 20) + 1), f"{n}\t", f"\x0b{n}", f"{n}\r\nContent-Length: {n}"),
        ]
    ).encode()
    head = request(b"", "Inference-Header-Content-Length: 0", length=False)
    name = draw.choice([b"Content-Length: ", b"content-length:", b"Content-Length :"])
    return Case("", (head[:-2] + name + value + b"\r\n\r\n" + body,))


def _transfer(draw: random.Random) -> Case:
    value = draw.choice(
        [
            *("chunked", "Chunked", "xchunked", "chunked, identity", "identity", "gzip, chunked"),
            *("chunked, chunked", " chunked ", "\tchunked", '"chunked"', "chunked;q=1", "chunked,"),
            *("chu\0nked", "", ",chunked", "identity, chunked", "chunked\r\n identity", "deflate"),
        ]
    )
    both = draw.random() < 0.3
    body = chunked(rows(draw), draw)
    headers = [f"Transfer-Encoding: {value}", "Inference-Header-Content-Length: 0"]
    line = f"POST {INFER} HTTP/1.{draw.choice('1110')}"
    return Case("", (request(body, *headers, line=line, length=both),))


def _chunks(draw: random.Random) -> Case:
    sizes = ["0x10", "+10", "-10", " 10", "10 ", "1_0", "g", "", "f" * 16, "1" + "0" * 16]
    sizes += ["ffffffff", "10;a=b", '10;a="b', "10;" + "a" * 20_000, "0" * 40 + "10", "10\0"]
    data = rows(draw, 1)
    first = draw.choice(sizes).encode() + draw.choice([b"\r\n", b"\r\n", b"\n", b"\r"])
    after = draw.choice([b"\r\n", b"\r\n", b"\n", b"", b"x\r\n"])
    trailers = [b"", b"", b"A: b\r\n", b"Content-Length: 3\r\n", b" x\r\n", b"A\r\n", b"A: b\n"]
    last = b"0\r\n" + draw.choice(trailers) + draw.choice([b"\r\n", b"\r\n", b"\n", b""])
    head = request(b"", "Transfer-Encoding: chunked", length=False)
    return Case("", (head + first + data + after + last,))


def _tiny_chunks(draw: random.Random) -> Case:
    body = json.dumps(document(draw)).encode()
    wire = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = request(b"", "Transfer-Encoding: chunked", length=False)
    return Case("", (head, wire[: len(wire) // 2], wire[len(wire) // 2 :]), framed=True)


def _expect(draw: random.Random) -> Case:
    value = draw.choice(["100-continue", "100-Continue", "tea", "", "100-continue, x", "200"])
    wire = request(rows(draw), "Inference-Header-Content-Length: 0", f"Expect: {value}")
    head, _, body = wire.partition(b"\r\n\r\n")
    return Case("", (head + b"\r\n\r\n", body))


def _pipelined(draw: random.Random) -> Case:
    wires = [plain(draw) for _ in range(draw.randint(2, 40))]
    at = draw.randrange(len(wires))
    wires[at] = damaged(wires[at], draw)
    return Case("", (b"".join(wires),))


def _truncated(draw: random.Random) -> Case:
    wire = plain(draw)
    end: End = draw.choice(["close", "half", "reset"])
    return Case("", (wire[: draw.randrange(1, len(wire) + 1)],), end=end)


def _oversized(draw: random.Random) -> Case:
    wire = request(rows(draw), "Inference-Header-Content-Length: 0")
    return Case("", (wire + draw.randbytes(draw.choice([1, 100, 100_000])),))


def _header_length(draw: random.Random) -> Case:
    shown = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [1, 4],
                    "parameters": {"binary_data_size": draw.choice([16, 16, 0, 15, 17, -1, 2**64])},
                }
            ]
        }
    ).encode()
    n = len(shown)
    told = draw.choice([n, n, n - 1, n + 1, n + 16, n + 17, 0, -1, 2**63, f"+{n}", "", "x", "٤"])
    head = f"Inference-Header-Content-Length: {told}".encode().decode("latin-1")
    return Case("", (request(shown + rows(draw, 1), head),), framed=True)


def _odd(draw: random.Random) -> object:
    return draw.choice(
        [
            *(None, True, -1, 0, 1.5, 2**31, 2**63, 2**64, 10**40, "", "x", "é" * 200, [], {}),
            *([[]], [None], ["x"], {"a": 1}, "FP64", "BYTES", "/etc/passwd", [1, 4], [[1, 4]]),
            *([0, 4], [-1, 4], [2**62, 4], [1] * 300, {"shared_memory_region": "x"}),
        ]
    )


def _tensors(draw: random.Random) -> Case:
    shown = document(draw)
    inputs: Any = shown["inputs"]
    given = inputs[0]
    for _ in range(draw.randint(1, 3)):
        where = draw.randrange(5)
        if where < 3:
            given[draw.choice(["name", "datatype", "shape", "data", "parameters"])] = _odd(draw)
        elif where == 3:
            shown[draw.choice(["id", "inputs", "outputs", "parameters"])] = _odd(draw)
        else:
            names = ["sequence_id", "timeout", "priority", "binary_data_output", "triton_x", "mine"]
            shown["parameters"] = {draw.choice(names): _odd(draw)}
    outputs = [{"name": draw.choice(["output", "y", ""])}] * draw.choice([1, 2, 2000])
    if draw.random() < 0.3:
        shown["outputs"] = outputs
    return Case("", (request(json.dumps(shown).encode()),), framed=True)


def _nesting(draw: random.Random) -> Case:
    deep = draw.choice([99, 100, 101, 5000, 250_000])
    opening, closing = draw.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inner = opening * deep + draw.choice([b"1", b""]) + closing * draw.choice([deep, 0])
    place = draw.choice([b"%s", b'{"inputs":%s}', b'{"id":%s}', b'{"parameters":{"a":%s}}'])
    data = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":%s}]}'
    return Case("", (request(draw.choice([place, data]) % inner),), framed=True)


def _numbers(draw: random.Random) -> Case:
    texts = ["1e999", "-1e999", "NaN", "Infinity", "-0", "1e-999", "1" * 5000, "0." + "1" * 5000]
    texts += ["01", "+1", "1.", ".5", "1e", "0x1", "1_0", "true", "null", '"1"', "1e39", "--1"]
    body = json.dumps(document(draw)).replace("[1, 4]", f"[{draw.choice(['1', *texts])}, 4]")
    at = body.index('"data": [') + 9
    body = body[:at] + draw.choice(texts) + body[body.index(",", at) :]
    return Case("", (request(body.encode()),), framed=True)


def _doubled(draw: random.Random) -> Case:
    body = json.dumps(document(draw))
    extra = draw.choice(['"id": "other", ', '"inputs": [], ', '"inputs": 1, ', '"id": {}, '])
    inner = draw.choice(['"shape": [9, 9], ', '"data": [], ', '"name": "y", ', '"datatype": 1, '])
    if draw.random() < 0.5:
        body = "{" + extra + body[1:]
    else:
        body = body.replace('"name"', inner + '"name"')
    return Case("", (request(body.encode()),), framed=True)


def _text(draw: random.Random) -> Case:
    body = json.dumps(document(draw)).encode()
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(body))
        wrong = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\\ud800", b"\\u12", b"\0", b"\\"]
        body = body[:at] + draw.choice([*wrong, draw.randbytes(2)]) + body[at + 1 :]
    return Case("", (request(body),), framed=True)


def _coded(draw: random.Random) -> Case:
    body = draw.choice([rows(draw), bytes(16), bytes(1 << 20), b"", json.dumps({}).encode()])
    coding = draw.choice(["gzip", "deflate"])
    packed = gzip.compress(body, mtime=0) if coding == "gzip" else zlib.compress(body)
    what = draw.randrange(6)
    if what == 1:
        packed = packed[: draw.randrange(len(packed))]
    elif what == 2:
        packed += draw.choice([b"\0", packed, b"trailing"])
    elif what == 3:
        at = draw.randrange(len(packed))
        packed = packed[:at] + draw.randbytes(1) + packed[at + 1 :]
    elif what == 4:
        packed = body
    elif what == 5:
        coding = draw.choice(["br", "gzip, gzip", "gzip, deflate", "identity", "x-gzip", "", "*"])
    headers = (f"Content-Encoding: {coding}", "Inference-Header-Content-Length: 0")
    return Case("", (request(packed, *headers),))


def _bomb(draw: random.Random) -> Case:
    packed = _zeros(65 << 20 if draw.random() < 0.02 else 1 << 20)
    return Case("", (request(packed, "Content-Encoding: deflate"),))


@cache
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def _accepted(draw: random.Random) -> Case:
    values = ["gzip;q=nan", "gzip;q=1e999", "*;q=0", ";,;,", "gzip;q=" + "1" * 3000, "a," * 3000]
    wire = request(json.dumps(document(draw)).encode(), f"Accept-Encoding: {draw.choice(values)}")
    return Case("", (wire,), framed=True)


def _slow(draw: random.Random) -> Case:
    wire = plain(draw)
    cuts = sorted(draw.randrange(len(wire)) for _ in range(draw.randint(3, 20)))
    ends = [*cuts, len(wire)]
    return Case("", tuple(wire[a:b] for a, b in zip([0, *cuts], ends, strict=True)), framed=True)


def _token(draw: random.Random) -> Case:
    given = draw.choice(
        [
            *(
                "",
                "Bearer",
                "Bearer ",
                f"Basic {TOKEN}",
                f"Bearer {TOKEN}x",
                f"Bearer {TOKEN[:-1]}",
            ),
            *(f"Bearer  {TOKEN}", f"Bearer {TOKEN}\r\nAuthorization: x", "Bearer \xff", TOKEN),
        ]
    )
    header = f"Authorization: {given}"
    return Case("", (request(rows(draw), header, token=False),), framed=True)


def _unwanted(draw: random.Random) -> Case:
    """A body of any kind for what is refused before it comes."""
    line = draw.choice(
        ["POST /v2/models/x/infer", "GET /nowhere", f"DELETE {INFER}", f"POST {INFER}"]
    )
    framing = draw.choice(
        ["Transfer-Encoding: chunked", "Content-Length: 300", "Expect: 100-continue"]
    )
    body = chunked(rows(draw), draw) if "chunked" in framing else bytes(300)
    headers = [framing] if "Expect" not in framing else [framing, "Content-Length: 300"]
    closing = ["Connection: close"] if draw.random() < 0.3 else []
    wire = request(b"", *headers, *closing, line=f"{line} HTTP/1.1", length=False, token=False)
    return Case("", (wire + body + plain(draw) * draw.choice([0, 3]),))


def _paths(draw: random.Random) -> Case:
    path = draw.choice(
        [
            *("/v2/repository/models/x/load", "/v2/systemsharedmemory/region/x/register"),
            *("/v2/cudasharedmemory/status", "/v2/trace/setting", "/v2/logging", "/", "/v1"),
            *("/v2/models/x/infer", f"/v2/models/{MODEL}/versions/2/infer", "/v2/models//infer"),
            *("/v2/repository/index", "/v2/models/stats", f"/v2/models/{MODEL}/generate"),
            *("/etc/passwd", "/v2/models/..%2f..%2fetc%2fpasswd", "/v2/models/%0d%0aX:y/ready"),
        ]
    )
    control = "%0d" in path
    method = draw.choice(
        ["GET", "POST", "GET" if control else "HEAD", "DELETE", "PUT", "OPTIONS", "PATCH"]
    )
    wire = request(draw.choice([b"", b"{}", b"[" * 9000]), line=f"{method} {path} HTTP/1.1")
    return Case("", (wire,), framed=True, head=method == "HEAD")


def _injected(draw: random.Random) -> Case:
    text = draw.choice(["a\r\nX: y", "\0", '"}{', "é\u2028", "\x1b[31m", "a" * 5000, "%0d%0a"])
    shown = document(draw) | {"id": text}
    given = text.encode("latin-1", "replace").decode("latin-1")
    given = given.replace("\r\n", "").replace("\0", "").replace("\x1b", "")
    wire = request(json.dumps(shown).encode(), f"X-Request-Id: {given}")
    return Case("", (wire,), framed=True)


def _many_headers(draw: random.Random) -> Case:
    count = draw.choice([90, 120, 3000])
    return Case("", (request(rows(draw), *[f"X-{n}: y" for n in range(count)]),))


KINDS: dict[str, Callable[[random.Random], Case]] = {
    "anything": _anything,
    "head": _head,
    "line": _line,
    "length": _length,
    "transfer": _transfer,
    "chunks": _chunks,
    "tiny chunks": _tiny_chunks,
    "expect": _expect,
    "pipelined": _pipelined,
    "truncated": _truncated,
    "oversized": _oversized,
    "header length": _header_length,
    "tensors": _tensors,
    "nesting": _nesting,
    "numbers": _numbers,
    "doubled": _doubled,
    "text": _text,
    "coded": _coded,
    "bomb": _bomb,
    "accepted": _accepted,
    "slow": _slow,
    "token": _token,
    "unwanted": _unwanted,
    "paths": _paths,
    "injected": _injected,
    "many headers": _many_headers,
}
