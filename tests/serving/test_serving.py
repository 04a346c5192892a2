"""A server over instances that compute nothing, in real time and over real sockets."""

import asyncio
import contextlib
import http.client
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest

from coresplit.instance import Arena, FakeServing, InstanceSpec, Serve
from coresplit.models import ModelSpec
from coresplit.serving import crew
from coresplit.serving.app import ServingApp
from coresplit.serving.crew import CrewSettings
from coresplit.serving.dividing import Latencies
from coresplit.serving.engine import Engine
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.server import HttpServer
from coresplit.serving.metrics import Metrics
from coresplit.serving.protocol import Signature, Tensor
from coresplit.serving.run import drained, new_event_loop
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings

ROW = 16
ARENA = 1 << 24
POISON = b"P" * ROW
TENSOR = (Tensor("x", "UINT8", (ROW,)),)
SIGNATURE = Signature(
    model="echo", inputs=TENSOR, outputs=(Tensor("output", "UINT8", (ROW,)),), max_batch=64
)
Answer = tuple[int, dict[str, str], bytes]


class Served:
    """A running server and a client of it."""

    def __init__(self) -> None:
        self.fakes: list[FakeServing] = []
        self.port = 0
        self.hold = False
        """Whether no instance becomes ready from now on."""
        self.engine: Engine
        self.app: ServingApp
        self.front: HttpServer
        self.metrics: Metrics
        self.latency: Callable[[int], float]

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def infer(self, rows: bytes, **headers: str) -> Answer:
        """Raw binary in, binary out."""
        given = {"Inference-Header-Content-Length": "0", **headers}
        return self.call("POST", "/v2/models/echo/infer", rows, given)

    def output(self, answer: Answer) -> bytes:
        """The tensor in an answer."""
        assert answer[0] == 200, answer
        return answer[2][int(answer[1]["inference-header-content-length"]) :]

    async def concurrently(self, calls: list[Callable[[], Answer]]) -> list[Answer]:
        """All at the same time, each on a connection of its own."""
        return await asyncio.gather(*(asyncio.to_thread(call) for call in calls))


@contextlib.asynccontextmanager
async def serving(
    count: int = 2,
    *,
    most_rows: int = 4,
    settings: Settings = Settings(slack_s=5.0),  # noqa: B008 (frozen)
    latency: Callable[[int], float] = lambda batch: 0.002 * batch,
    token: str = "",
    wait: bool = True,
    arena_bytes: int = ARENA,
    timeout_s: float = float("inf"),
    **fake: Any,  # noqa: ANN401
) -> AsyncIterator[Served]:
    from coresplit.records import ModelInput, ModelOutput

    served = Served()
    served.latency = latency
    arena = Arena.create(arena_bytes)
    spec = InstanceSpec(
        model=ModelSpec(name="fake"),
        optimization="none",
        cpus=(0,),
        home=(0,),
        serve=Serve(batches=(1, 2, 4), arena_size=arena_bytes),
    )

    def start(place: Place, quietly: bool) -> FakeServing:
        found = FakeServing(
            spec,
            arena,
            lambda batch: served.latency(batch),  # noqa: PLW0108 (it may be replaced)
            inputs=(ModelInput(name="x", shape=(ROW,), dtype="uint8"),),
            outputs=(ModelOutput(name="output", shape=(ROW,), dtype="uint8"),),
            **(fake | ({"prepare_s": 60.0} if served.hold else {})),
        )
        served.fakes.append(found)
        return found

    loop = asyncio.get_running_loop()
    served.metrics = Metrics("echo")
    known = Latencies({(1, 1): latency(1), (1, 4): latency(4)})
    first = InstanceSet(
        name="first",
        places=tuple(Place((cpu,)) for cpu in range(count)),
        most_rows=most_rows,
        latencies=known,
    )
    served.engine = Engine(
        start, first, settings, served.metrics, crew=CrewSettings(first_pause_s=0.05)
    )
    served.app = ServingApp(
        SIGNATURE, served.engine, arena, served.metrics, loop.time, token=token, timeout_s=timeout_s
    )
    served.front = HttpServer(served.app, Limits())
    served.engine.open()
    if wait:
        await served.engine.wait_ready(count)
    await served.front.start("127.0.0.1", 0)
    served.port = served.front.port
    try:
        yield served
    finally:
        served.engine.close()
        served.front.close()
        await asyncio.sleep(0.05)
        arena.close()


def run(test: Coroutine[Any, Any, None], loop: str = "asyncio") -> None:
    """Run a test on one kind of event loop, bounded in time."""
    factory = asyncio.new_event_loop if loop == "asyncio" else new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(test, 90))


def rows_of(number: int, count: int) -> bytes:
    """Rows that tell whose they are."""
    return b"".join(f"{number:08d}{row:08d}".encode() for row in range(count))


def posted(rows: bytes) -> bytes:
    """A request as it is on the wire."""
    return (
        b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n"
        b"Inference-Header-Content-Length: 0\r\n"
        b"Content-Length: %d\r\n\r\n" % len(rows) + rows
    )


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_rows_are_cut_and_joined_and_never_mixed(loop: str) -> None:
    async def test() -> None:
        async with serving(3) as served:
            drawn = random.Random(1)
            sent = [rows_of(number, drawn.randint(1, 11)) for number in range(120)]
            answers = await served.concurrently(
                [lambda rows=rows: served.infer(rows) for rows in sent]  # type: ignore[misc]
            )
            assert [served.output(answer) for answer in answers] == sent
            sizes = {
                sum(rows.count for rows in command.rows)
                for fake in served.fakes
                for command in fake.seen
            }
            assert max(sizes) == 4
            assert any(len(command.rows) > 1 for fake in served.fakes for command in fake.seen)

    run(test(), loop)


def test_json_and_binary_answer_alike() -> None:
    async def test() -> None:
        async with serving() as served:
            rows = rows_of(7, 3)
            head = {
                "id": "mine",
                "inputs": [
                    {"name": "x", "shape": [3, ROW], "datatype": "UINT8", "data": list(rows)}
                ],
            }
            body = json.dumps(head).encode()
            status, headers, text = await asyncio.to_thread(
                served.call, "POST", "/v2/models/echo/infer", body
            )
            found = json.loads(text)
            assert (status, found["id"], found["model_name"]) == (200, "mine", "echo")
            assert bytes(found["outputs"][0]["data"]) == rows
            assert headers["content-type"] == "application/json"
            assert headers["x-request-id"]

    run(test())


@pytest.mark.parametrize("chunked", [False, True])
def test_binary_data_behind_json_lies_aligned_whatever_the_length_of_the_json(
    chunked: bool,
) -> None:
    async def test() -> None:
        async with serving(1) as served:
            rows = rows_of(7, 3)
            tensor = {
                "name": "x",
                "shape": [3, ROW],
                "datatype": "UINT8",
                "parameters": {"binary_data_size": len(rows)},
            }
            for length in range(0, 64, 9):
                head = json.dumps({"id": "i" * length, "inputs": [tensor]}).encode()
                given = {"Inference-Header-Content-Length": str(len(head))}
                body = iter([head, rows]) if chunked else head + rows
                answer = await asyncio.to_thread(
                    served.call, "POST", "/v2/models/echo/infer", body, given
                )
                assert bytes(json.loads(answer[2])["outputs"][0]["data"]) == rows
            (fake,) = served.fakes
            places = [row.inputs[0] for each in fake.seen for row in each.rows]
            assert [isinstance(at, int) and at % 64 == 0 for at in places] == [True] * 8

    run(test())


def test_wrong_json_is_refused_alone() -> None:
    async def test() -> None:
        async with serving(1, latency=lambda batch: 0.05) as served:
            wrong = {
                "inputs": [{"name": "x", "shape": [1, ROW], "datatype": "UINT8", "data": [1, 2, 3]}]
            }
            answers = await served.concurrently(
                [
                    *(lambda n=n: served.infer(rows_of(n, 1)) for n in range(3)),
                    lambda: served.call(
                        "POST", "/v2/models/echo/infer", json.dumps(wrong).encode()
                    ),
                ]
            )
            assert [answer[0] for answer in answers] == [200, 200, 200, 400]

    run(test())


@pytest.mark.parametrize("kind", ["die", "hang", "fail"])
def test_only_the_request_that_breaks_instances_fails(kind: str) -> None:
    async def test() -> None:
        settings = Settings(slack_s=0.3, patience=1.0)
        fault = lambda row: kind if row == POISON else None  # noqa: E731
        async with serving(2, settings=settings, fault=fault) as served:
            sent = [rows_of(number, 2) for number in range(20)]
            sent.insert(10, POISON)
            answers = await served.concurrently(
                [lambda rows=rows: served.infer(rows) for rows in sent]  # type: ignore[misc]
            )
            statuses = [answer[0] for answer in answers]
            assert statuses[10] == 500
            assert statuses[:10] + statuses[11:] == [200] * 20
            for rows, answer in zip(sent, answers, strict=True):
                assert rows == POISON or served.output(answer) == rows
            await served.engine.wait_ready(2)
            assert (served.engine.crew.restarts > 0) == (kind != "fail")

    run(test())


def test_instances_that_are_killed_under_load_lose_nothing() -> None:
    async def test() -> None:
        async with serving(2, latency=lambda batch: 0.02) as served:

            async def kill() -> None:
                for _ in range(5):
                    await asyncio.sleep(0.1)
                    alive = [fake for fake in served.fakes if fake.pid in served.engine.pids]
                    if alive:
                        alive[0].die()

            killing = asyncio.create_task(kill())
            sent = [rows_of(number, 1 + number % 3) for number in range(150)]
            answers = await served.concurrently(
                [lambda rows=rows: served.infer(rows) for rows in sent]  # type: ignore[misc]
            )
            await killing
            assert [served.output(answer) for answer in answers] == sent
            assert served.engine.crew.restarts >= 1
            assert b"coresplit_instance_restarts_total" in served.metrics.text()

    run(test())


def test_too_many_requests_are_told_when_to_come_again() -> None:
    async def test() -> None:
        settings = Settings(most_requests=2, slack_s=5.0)
        async with serving(1, most_rows=1, settings=settings, latency=lambda batch: 0.3) as served:
            answers = await served.concurrently(
                [lambda n=n: served.infer(rows_of(n, 1)) for n in range(8)]  # type: ignore[misc]
            )
            statuses = sorted(answer[0] for answer in answers)
            assert statuses.count(200) >= 2
            assert set(statuses) == {200, 429}
            for status, headers, body in answers:
                if status == 429:
                    assert int(headers["retry-after"]) >= 1
                    assert "later" in json.loads(body)["error"]

    run(test())


def test_a_request_that_cannot_be_in_time_is_told_so_and_not_computed() -> None:
    async def test() -> None:
        settings = Settings(slack_s=5.0)
        async with serving(1, most_rows=1, settings=settings, latency=lambda batch: 0.3) as served:
            hurried = {
                "parameters": {"timeout": 50_000},
                "inputs": [
                    {"name": "x", "shape": [1, ROW], "datatype": "UINT8", "data": [1] * ROW}
                ],
            }
            first = asyncio.create_task(asyncio.to_thread(served.infer, rows_of(1, 1)))
            await asyncio.sleep(0.05)
            status, _, body = await asyncio.to_thread(
                served.call, "POST", "/v2/models/echo/infer", json.dumps(hurried).encode()
            )
            assert status == 504
            assert "timeout" in json.loads(body)["error"]
            assert (await first)[0] == 200
            assert sum(len(fake.seen) for fake in served.fakes) == 1

    run(test())


def test_a_timeout_is_told_while_the_forward_runs_and_its_memory_is_kept_until_the_end() -> None:
    async def test() -> None:
        settings = Settings(slack_s=5.0)
        known = lambda batch: 0.001 if batch == 1 else 0.002  # noqa: E731
        async with serving(1, settings=settings, latency=known, timeout_s=0.2) as served:
            served.latency = lambda batch: 2.0
            status, _, body = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert status == 504
            assert "timeout" in json.loads(body)["error"]
            assert served.app.taken > 0
            assert await served.engine.drained(10.0)
            assert served.app.taken == 0
            assert served.engine.crew.restarts == 0

    run(test())


def test_the_only_instance_may_die_and_requests_wait_for_the_next_one() -> None:
    async def test() -> None:
        async with serving(1, prepare_s=0.3) as served:
            served.fakes[0].die()
            await asyncio.sleep(0.05)
            assert served.engine.alive == 0
            ready = await asyncio.to_thread(served.call, "GET", "/v2/health/ready")
            assert ready[0] == 503
            assert (await asyncio.to_thread(served.call, "GET", "/v2/health/live"))[0] == 200
            answer = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert served.output(answer) == rows_of(1, 1)

    run(test())


def test_requests_are_refused_where_instances_die_again_and_again() -> None:
    async def test() -> None:
        async with serving(1) as served:
            for _ in range(6):
                while not served.engine.alive:
                    await asyncio.sleep(0.01)
                served.fakes[-1].die()
                while served.engine.alive:
                    await asyncio.sleep(0.01)
            answer = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert (answer[0], answer[1]["retry-after"]) == (503, "1")

    run(test())


def test_an_instance_that_grows_beyond_its_bound_is_replaced_also_while_it_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with serving(1, latency=lambda batch: 0.5) as served:
            first = served.fakes[0].pid
            monkeypatch.setattr(crew, "resident", lambda pid: 2**50 if pid == first else 0)
            answers = await served.concurrently(
                [lambda n=n: served.infer(rows_of(n, 1)) for n in range(4)]  # type: ignore[misc]
            )
            assert [served.output(answer) for answer in answers] == [
                rows_of(n, 1) for n in range(4)
            ]
            assert served.engine.crew.restarts == 1

    monkeypatch.setattr(crew, "LOOK_S", 0.2)
    run(test())


def test_what_a_client_that_left_had_asked_is_not_computed() -> None:
    async def test() -> None:
        settings = Settings(slack_s=5.0)
        async with serving(1, most_rows=1, settings=settings, latency=lambda batch: 0.3) as served:
            first = asyncio.create_task(asyncio.to_thread(served.infer, rows_of(1, 1)))
            await asyncio.sleep(0.1)
            body = rows_of(2, 1)
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(posted(body))
                await asyncio.sleep(0.05)
                assert served.engine.queued == 1
            assert (await first)[0] == 200
            await asyncio.sleep(0.1)
            assert served.engine.queued == 0
            assert sum(len(fake.seen) for fake in served.fakes) == 1
            assert served.app.taken == 0

    run(test())


def test_a_server_is_ready_only_with_an_instance_and_refuses_until_then() -> None:
    async def test() -> None:
        async with serving(1, prepare_s=0.5, wait=False) as served:
            call = served.call
            assert (await asyncio.to_thread(call, "GET", "/v2/health/ready"))[0] == 503
            assert (await asyncio.to_thread(call, "GET", "/v2/health/live"))[0] == 200
            early = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert (early[0], early[1]["retry-after"]) == (503, "1")
            await served.engine.wait_ready(1)
            assert (await asyncio.to_thread(call, "GET", "/v2/health/ready"))[0] == 200
            assert (await asyncio.to_thread(served.infer, rows_of(1, 1)))[0] == 200

    run(test())


def test_a_token_is_asked_for_but_not_for_health() -> None:
    async def test() -> None:
        async with serving(1, token="sixteen letters!") as served:
            assert (await asyncio.to_thread(served.call, "GET", "/v2/health/ready"))[0] == 200
            refused = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert (refused[0], refused[1]["www-authenticate"]) == (401, "Bearer")
            wrong = await asyncio.to_thread(
                lambda: served.infer(rows_of(1, 1), Authorization="Bearer something else")
            )
            assert wrong[0] == 401
            right = await asyncio.to_thread(
                lambda: served.infer(rows_of(1, 1), Authorization="Bearer sixteen letters!")
            )
            assert right[0] == 200

    run(test())


def test_draining_answers_what_was_accepted_and_nothing_more() -> None:
    async def test() -> None:
        async with serving(1, latency=lambda batch: 0.2) as served:
            first = asyncio.create_task(asyncio.to_thread(served.infer, rows_of(1, 1)))
            await asyncio.sleep(0.05)
            served.app.draining = True
            done, closed = await asyncio.gather(served.engine.drained(5.0), served.front.drain(5.0))
            assert (done, closed) == (True, True)
            assert (await first)[0] == 200
            with pytest.raises(OSError):
                await asyncio.to_thread(served.infer, rows_of(2, 1))

    run(test())


def test_a_request_that_was_still_arriving_counts_as_accepted_while_draining() -> None:
    async def test() -> None:
        async with serving(1, latency=lambda batch: 2.0) as served:
            body = rows_of(1, 1)
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(posted(body)[:-1])
                await asyncio.sleep(0.1)
                draining = asyncio.ensure_future(drained(served.engine, served.front, 0.5))
                await asyncio.sleep(0.1)
                client.sendall(body[-1:])
                assert await draining is False

    run(test())


def test_what_is_counted_is_told() -> None:
    async def test() -> None:
        async with serving(1) as served:
            for number in range(3):
                await asyncio.to_thread(served.infer, rows_of(number, 2))
            _, _, stats = await asyncio.to_thread(served.call, "GET", "/v2/models/echo/stats")
            (found,) = json.loads(stats)["model_stats"]
            assert found["inference_count"] == 6
            assert found["inference_stats"]["success"]["count"] == 3
            _, _, text = await asyncio.to_thread(served.call, "GET", "/metrics")
            assert b'coresplit_requests_total{status="200"} 3.0' in text
            _, _, config = await asyncio.to_thread(served.call, "GET", "/v2/models/echo/config")
            assert json.loads(config)["max_batch_size"] == 64

    run(test())


def test_memory_of_requests_is_given_back() -> None:
    async def test() -> None:
        async with serving(2) as served:
            big = rows_of(1, 64)
            for _ in range(3):
                answers = await served.concurrently([lambda: served.infer(big)] * 20)
                assert {answer[0] for answer in answers} == {200}
            deadline = time.monotonic() + 5
            while served.app.taken and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert served.app.taken == 0

    run(test())


def test_what_never_fits_into_memory_is_refused_for_good() -> None:
    async def test() -> None:
        async with serving(1, arena_bytes=1 << 12) as served:
            both = await asyncio.to_thread(served.infer, rows_of(1, 1))
            assert both[0] == 413
            assert "memory" in json.loads(both[2])["error"]
            assert "retry-after" not in both[1]
            body = await asyncio.to_thread(served.infer, b"x" * ((1 << 12) + 1))
            assert body[0] == 413
            assert served.app.taken == 0

    run(test())


def test_requests_that_were_sent_at_once_do_not_pass_the_most_that_may_wait() -> None:
    async def test() -> None:
        settings = Settings(most_requests=2, slack_s=5.0)
        async with serving(1, most_rows=1, settings=settings, latency=lambda batch: 0.5) as served:
            body = rows_of(1, 1)
            head = (
                b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n"
                b"Inference-Header-Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            clients = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(8)]
            for _, writer in clients:
                writer.write(head)
            await asyncio.sleep(0.1)
            for _, writer in clients:
                writer.write(body)
            lines = await asyncio.gather(*(reader.readline() for reader, _ in clients))
            for _, writer in clients:
                writer.close()
            statuses = sorted(int(line.split()[1]) for line in lines)
            assert statuses == [200] * 3 + [429] * 5

    run(test())


def test_a_server_that_drains_waits_no_longer_than_for_the_last_timeout() -> None:
    async def test() -> None:
        async with serving(1, timeout_s=0.5, latency=lambda batch: 0.001) as served:
            served.hold = True
            served.fakes[0].die()
            while served.engine.alive:
                await asyncio.sleep(0.01)
            late = asyncio.create_task(asyncio.to_thread(served.infer, rows_of(1, 1)))
            while not served.engine.queued:
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(served.engine.drained(60.0), 20.0)
            assert (await late)[0] == 504

    run(test())


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().slack_s = 2.0  # type: ignore[misc]
    assert msgspec.structs.asdict(Settings())["slack_s"] == 30.0
