"""What a stranger may learn, forge or take through requests."""

import asyncio
import json
import logging
import resource
import socket
import struct
from collections.abc import Sequence

import pytest
from test_serving import ARENA, ROW, Served, rows_of, run, serving

from coresplit.serving.run import allow_files

TOKEN = "sixteen letters!"
INFER = "/v2/models/echo/infer"
OPEN = ("/v2/health/live", "/v2/health/ready", "/v2/models/echo/ready")
CLOSED = (
    *("GET /v2", "GET /metrics", "GET /v2/models/echo", "GET /v2/models/echo/config"),
    *("GET /v2/models/echo/stats", "GET /v2/models/stats", "POST /v2/repository/index"),
    *(f"POST {INFER}", "GET /v2/models/other", "POST /v2/models/other/infer", "GET /nowhere"),
    *(f"DELETE {INFER}", "POST /v2/health/live", "GET /v2/models/other/versions/9/config"),
)


async def raw(served: Served, wire: bytes) -> bytes:
    """What comes back for bytes, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(wire)
    found = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return found


def test_without_the_token_every_answer_but_health_is_the_same() -> None:
    given = [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}"]
    given += [f"Bearer {TOKEN}x", "Bearer " + "x" * 5000, "Bearer \xff\xfe", TOKEN]

    async def test() -> None:
        async with serving(1, token=TOKEN) as served:
            answers = set()
            for line in CLOSED:
                method, path = line.split()
                for each in given:
                    headers = {} if each is None else {"Authorization": each}
                    found = await asyncio.to_thread(served.call, method, path, b"", headers)
                    answers.add((found[0], found[1]["www-authenticate"], found[2]))
            assert answers == {(401, "Bearer", b'{"error":"a token is needed"}')}
            for path in OPEN:
                assert (await asyncio.to_thread(served.call, "GET", path))[0] == 200

    run(test())


def test_an_id_forges_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "coresplit.serving")

    async def test() -> None:
        async with serving(1) as served:
            served.app.draining = True
            forged = 'a", "event": "forged\x85\xa0\xad é'
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {forged}\r\n"
            answer = await raw(
                served, f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1")
            )
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.count(b"x-request-id: ") == 1

    run(test())
    (line,) = [each.message for each in caplog.records if "refused" in each.message]
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == "request refused"
    assert json.loads(line)["id"].startswith('a", "event": "forged')


def test_nothing_that_a_client_sends_becomes_a_label() -> None:
    async def test() -> None:
        async with serving(1) as served:
            for number in range(20):
                strange = f'evil{number}"}} 1\\n'
                await asyncio.to_thread(
                    lambda s=strange: served.infer(rows_of(1, 1), **{"X-Request-Id": s})  # type: ignore[misc]
                )
                await asyncio.to_thread(served.call, "POST", f"/v2/models/evil{number}/infer")
                body = json.dumps({"id": strange, "inputs": [], "evil": strange}).encode()
                await asyncio.to_thread(served.call, "POST", INFER, body)
            _, _, text = await asyncio.to_thread(served.call, "GET", "/metrics")
            assert b"evil" not in text
            lines = [each for each in text.splitlines() if each.startswith(b"coresplit_requests_t")]
            assert {each.split(b'"')[1] for each in lines} == {b"200", b"400"}

    run(test())


def test_a_body_larger_than_the_memory_takes_none() -> None:
    async def test() -> None:
        async with serving(1) as served:
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            told = await raw(served, f"{head}Content-Length: {ARENA + 1}\r\n\r\n".encode())
            assert told.startswith(b"HTTP/1.1 413 ")
            assert served.app.taken == 0
            # one that does not say how long it is takes none before it is whole
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            part = bytes(1 << 20)
            for _ in range(8):
                writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
                await writer.drain()
            await asyncio.sleep(0.1)
            assert served.app.taken == 0
            assert served.front.room.taken == 8 << 20
            writer.close()
            await asyncio.sleep(0.1)
            assert served.front.room.taken == 0
            assert (await asyncio.to_thread(served.infer, rows_of(1, 1)))[0] == 200

    run(test())


def test_what_computes_nothing_takes_no_large_body() -> None:
    async def test() -> None:
        async with serving(1) as served:
            for path in ("/v2/health/live", "/metrics", "/v2/repository/index"):
                method = "POST" if "index" in path else "GET"
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {60 << 20}\r\n\r\n"
                answer = await raw(served, head.encode())
                assert answer.startswith(b"HTTP/1.1 413 ")
            assert served.front.room.taken == 0

    run(test())


def test_one_connection_of_many_requests_keeps_no_other_waiting_for_all_of_them() -> None:
    async def test() -> None:
        async with serving(1) as served:
            head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(head * 1500)
            answer = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert answer[0] == 200
            _, _, text = await asyncio.to_thread(served.call, "GET", "/v2/models/echo/stats")
            assert json.loads(text)["model_stats"][0]["inference_count"] == 1
            writer.transport.abort()

    run(test())


def test_a_reset_in_the_middle_of_a_body_or_an_answer_gives_its_memory_back() -> None:
    async def test() -> None:
        async with serving(1, latency=lambda batch: 0.05) as served:
            body = rows_of(1, 8)
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: 0\r\n"
            wire = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            for cut in (len(wire) - ROW, len(wire)):
                for _ in range(20):
                    client = socket.create_connection(("127.0.0.1", served.port))
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.sendall(wire[:cut])
                    await asyncio.sleep(0.002)
                    client.close()
            for _ in range(200):
                if not (served.app.taken or served.engine.working):
                    break
                await asyncio.sleep(0.05)
            assert served.app.taken == 0
            assert (await asyncio.to_thread(served.infer, body))[0] == 200

    run(test())


def test_as_many_files_may_be_open_as_there_may_be_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        allow_files(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, hard)
        allow_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_long_json_is_cut_over_instances_and_one_of_a_wrong_length_holds_none() -> None:
    def asked(rows: int, data: Sequence[object]) -> bytes:
        given = {"name": "x", "datatype": "UINT8", "shape": [rows, ROW], "data": data}
        return json.dumps({"inputs": [given]}, indent=9).encode()

    async def test() -> None:
        async with serving(3) as served:
            values = [number % 251 for number in range(64 * ROW)]
            answer = await asyncio.to_thread(served.call, "POST", INFER, asked(64, values))
            assert answer[0] == 200
            assert json.loads(answer[2])["outputs"][0]["data"] == values
            before = sum(len(fake.seen) for fake in served.fakes)
            assert before > 3
            wrongs: list[Sequence[object]] = [[1] * 200_000, [[]] * 200_000, values[:-1]]
            for wrong in wrongs:
                body = asked(64, wrong)
                status, _, told = await asyncio.to_thread(served.call, "POST", INFER, body)
                assert status == 400
                assert b"values where 1024 were expected" in told
            assert served.engine.crew.restarts == 0

    run(test())
