"""What is sent, and what is made of the answers, against a server with scripted answers."""

import asyncio
import itertools
import time
from pathlib import Path

import msgspec
import pytest
from scripted_server import OK, Seen, at_once, closed, json_answer, loaded, scripted, steady

from coresplit.errors import EnvironmentFault, TableError, UsageError
from coresplit.loading.asked import Load, Requests, times_of
from coresplit.loading.driver import Driver
from coresplit.loading.one import load_once
from coresplit.loading.protocols.source import open_source
from coresplit.loading.shapes import parse_shape


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(b"0123456789" * 10)
    return path


def test_a_closed_loop_has_as_many_requests_out_as_clients(body: Path) -> None:
    async def slowly(seen: Seen) -> bytes | None:
        await asyncio.sleep(0.005)
        return OK

    run, server = loaded(slowly, closed(3, requests=30), body)
    assert (run.due, run.answered, run.failed, run.unfinished) == (30, 30, 0, 0)
    assert len(server.seen) == 30
    assert server.most_busy == 3
    assert run.generator.connections == 3
    assert run.latency is not None
    assert run.latency.p50 >= 0.005
    assert run.latency.p99 is None, "30 requests have no 99th percentile"
    assert all(seen.body == body.read_bytes() for seen in server.seen)
    assert {seen.path for seen in server.seen} == {"/x"}


def test_a_client_thinks_between_requests(body: Path) -> None:
    _, server = loaded(at_once, closed(1, requests=4, think=0.05), body)
    gaps = [after.at - before.at for before, after in itertools.pairwise(server.seen)]
    assert len(gaps) == 3
    # a timer never rings early
    assert min(gaps) >= 0.05


def test_an_open_loop_sends_all_that_is_due(body: Path) -> None:
    run, server = loaded(at_once, steady(100, duration=0.5), body)
    assert (run.due, run.answered, len(server.seen)) == (50, 50, 50)
    assert run.window_s == pytest.approx(0.5)
    assert sum(second.due for second in run.seconds) == 50
    assert sum(second.answers for second in run.seconds) == 50


def test_nothing_is_sent_before_it_is_due(body: Path) -> None:
    load = Load(asked="step", pieces=parse_shape("step:0@300ms,100@100ms"), arrivals="constant")
    begun = []

    def note(driver: Driver) -> None:
        begun.append(asyncio.get_running_loop().time())

    run, server = loaded(at_once, msgspec.structs.replace(load, duration=0.4), body, on_driver=note)
    assert run.answered == 10
    assert server.seen[0].at - begun[0] >= 0.3


def test_a_stall_is_seen_by_all_that_were_due_in_it(body: Path) -> None:
    """The server answers nothing for a second: an open loop is late for all that came, and a
    generator that waits with the server would notice one late answer."""

    def stalling() -> "tuple[list[float], object]":
        until: list[float] = []

        async def script(seen: Seen) -> bytes | None:
            now = asyncio.get_running_loop().time()
            if seen.number == 20:
                until.append(now + 1)
            if until and now < until[0]:
                await asyncio.sleep(until[0] - now)
            return OK

        return until, script

    async def script(seen: Seen) -> bytes | None:
        return await stalled(seen)  # type: ignore[operator, no-any-return]

    _, stalled = stalling()
    load = steady(100, duration=1.5, within=0.3)
    run, _ = loaded(script, load, body)
    assert (run.due, run.failed) == (150, 0)
    # request 20 and those of the next 0.7 s wait longer than 0.3 s: 70, and 60 leave a margin
    assert run.late >= 60
    assert run.latency is not None
    assert run.latency.p99 is not None
    assert run.latency.p99 >= 0.9
    assert run.latency.p90 is not None
    assert run.latency.p90 >= 0.5
    _, stalled = stalling()
    alone, _ = loaded(script, closed(1, requests=150, within=0.3), body)
    assert alone.answered == 150
    assert 1 <= alone.late < run.late


def test_all_that_was_due_is_sent_though_the_generator_itself_stalls_beyond_the_end(
    body: Path,
) -> None:
    async def script(seen: Seen) -> bytes | None:
        if seen.number == 50:
            # the server of the test runs on the loop of the generator
            time.sleep(0.5)
        return OK

    run, _ = loaded(script, steady(1000, duration=0.3), body)
    assert (run.due, run.answered) == (300, 300)


def test_latency_counts_from_the_intended_start_where_connections_are_few(body: Path) -> None:
    async def slowly(seen: Seen) -> bytes | None:
        await asyncio.sleep(0.05)
        return OK

    # five requests a connection can carry in 0.25 s, and 25 are due: the last waits for 20 others
    run, server = loaded(slowly, steady(100, duration=0.25, connections=1), body)
    assert (run.due, run.answered, server.most_busy) == (25, 25, 1)
    assert run.generator.waited >= 15
    assert run.latency is not None
    assert run.latency.max >= 25 * 0.05 - 0.25


def test_errors_are_counted_by_kind(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        turn = seen.number % 5
        if turn == 0:
            return b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
        if turn == 1:
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1\r\n\r\nx"
        if turn == 2:
            return None
        if turn == 3:
            return b"nonsense"
        return OK

    run, _ = loaded(script, steady(200, duration=0.25), body)
    assert run.errors == {
        "status 429": 10,
        "status 503": 10,
        "connection lost": 10,
        "the answer is not HTTP": 10,
    }
    assert (run.answered, run.failed, run.late) == (10, 40, 40)
    assert run.latency is not None
    assert run.latency.count == 10


def test_an_answer_that_ends_too_early_is_an_error(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nshort"

    run, _ = loaded(script, closed(1, requests=2), body)
    assert run.errors == {"connection lost": 2}


def test_what_is_out_for_too_long_fails_and_its_client_goes_on(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        if seen.number == 0:
            await asyncio.sleep(60)
        return OK

    run, server = loaded(script, closed(1, requests=3, timeout=0.5), body)
    assert run.errors == {"timeout": 1}
    assert run.answered == 2
    assert server.connections >= 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["closing", "chunked", "to the end", "after a hint"],
)
def test_every_form_of_an_answer_is_read(body: Path, answer: bytes) -> None:
    async def script(seen: Seen) -> bytes | None:
        return answer

    run, server = loaded(script, closed(2, requests=10), body, verify=True)
    assert (run.answered, run.errors) == (10, {})
    assert len(server.seen) == 10


def test_a_load_that_is_stopped_tells_what_it_measured(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        if seen.number == 5:
            asyncio.get_running_loop().call_soon(drivers[0].stop)
            await asyncio.sleep(60)
        return OK

    drivers: list[Driver] = []
    run, _ = loaded(script, closed(1, duration=60), body, on_driver=drivers.append)
    assert (run.answered, run.failed, run.unfinished) == (5, 0, 1)
    assert run.interrupted


def test_a_load_ends_early_once_too_many_are_late(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        await asyncio.sleep(60)
        return OK

    load = steady(100, duration=60, within=0.05, most_late=3)
    run, _ = loaded(script, load, body)
    assert run.stopped_early
    assert run.answered == 0
    assert run.window_s < 59


def test_what_is_late_in_the_warm_up_ends_no_load(body: Path) -> None:
    async def script(seen: Seen) -> bytes | None:
        if not server_is_warm.is_set():
            asyncio.get_running_loop().call_later(0.3, server_is_warm.set)
        await server_is_warm.wait()
        return OK

    server_is_warm = asyncio.Event()
    load = steady(50, duration=0.6, warmup=0.4, within=0.1, most_late=3)
    run, _ = loaded(script, load, body)
    assert (run.stopped_early, run.due, run.answered) == (False, 10, 10)


def test_the_warm_up_is_left_out_of_all_but_the_timeline(body: Path) -> None:
    run, server = loaded(at_once, steady(100, duration=0.5, warmup=0.3), body)
    assert len(server.seen) == 50
    assert (run.due, run.answered) == (20, 20)
    assert run.window_s == pytest.approx(0.2)
    assert sum(second.due for second in run.seconds) == 50


def test_a_server_that_dies_is_counted_and_not_raised(body: Path) -> None:
    async def run() -> tuple[int, set[str]]:
        async with scripted(at_once) as server:
            requests = Requests(url=server.url, protocol="raw", body=str(body))
            source = await open_source(requests)
        run = await load_once(source, requests, steady(50, duration=0.2))
        return run.due, set(run.errors)

    due, errors = asyncio.run(run())
    assert due == 10
    assert errors <= {"connection refused", "connection lost"}


def test_a_server_that_is_not_there_is_one_line() -> None:
    requests = Requests(url="http://127.0.0.1:9/v2/models/m", protocol="v2")
    with pytest.raises(EnvironmentFault, match=r"cannot reach .*: connection refused"):
        asyncio.run(open_source(requests))


METADATA = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}


def v2(changed: dict[str, object] | None = None) -> "tuple[list[Seen], object]":
    """A server of a model that answers zeros, or what is changed of that."""
    came: list[Seen] = []

    async def script(seen: Seen) -> bytes | None:
        if not seen.path.endswith("/infer"):
            groups = [{"name": "m", "count": 3}]
            return json_answer(
                METADATA if not seen.path.endswith("/config") else {"instance_group": groups}
            )
        came.append(seen)
        length = int(seen.headers["inference-header-content-length"])
        rows = msgspec.json.decode(seen.body[:length])["inputs"][0]["shape"][0] if length else 1
        output = {"name": "y", "datatype": "FP32", "shape": [rows, 2], "data": [0.5] * 2 * rows}
        return json_answer({"model_name": "m", "outputs": [{**output, **(changed or {})}]})

    return came, script


def test_requests_of_the_protocol_follow_the_metadata_and_the_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("0 2\n0.01 1\n0.02\n0.03 2\n")
    came, script = v2()

    async def run() -> object:
        async with scripted(script) as server:  # type: ignore[arg-type]
            requests = Requests(url=f"{server.url}/v2/models/m", protocol="v2", rows=4)
            source = await open_source(requests)
            load = Load(asked="trace", trace=str(trace))
            return await load_once(source, requests, load)

    run_ = asyncio.run(run())
    shapes = [
        msgspec.json.decode(each.body[: int(each.headers["inference-header-content-length"])])
        for each in came
    ]
    assert [each["inputs"][0]["shape"] for each in shapes] == [[2, 3], [1, 3], [4, 3], [2, 3]]
    data = [each.body[int(each.headers["inference-header-content-length"]) :] for each in came]
    assert [len(each) for each in data] == [24, 12, 48, 24]
    assert len({each[:12] for each in data}) == 4, "four variants in turn"
    assert run_.answered == 4  # type: ignore[attr-defined]
    assert run_.rows == 9  # type: ignore[attr-defined]
    assert run_.splits[0].instances == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, ""),
        ({"shape": [2, 2]}, "output of a wrong shape"),
        ({"data": [0.5]}, "output of a wrong length"),
        ({"name": "z"}, "unexpected output"),
        ({"datatype": "FP64"}, "unexpected output"),
        ({"parameters": {"binary_data_size": 8}}, "answer of a wrong length"),
        ({"parameters": {"binary_data_size": 4}}, "output of a wrong length"),
        ({"shape": "x"}, "the answer is not of the protocol"),
    ],
)
def test_an_answer_must_have_the_outputs_that_are_due(
    changed: dict[str, object], kind: str
) -> None:
    _, script = v2(changed)

    async def run() -> dict[str, int]:
        async with scripted(script) as server:  # type: ignore[arg-type]
            requests = Requests(url=f"{server.url}/v2/models/m/infer", protocol="v2")
            source = await open_source(requests)
            return (await load_once(source, requests, closed(1, requests=3))).errors

    assert asyncio.run(run()) == ({kind: 3} if kind else {})


@pytest.mark.parametrize(
    ("step", "failed"), [(0.0, 0), (1e-6, 0), (0.01, 5)], ids=["same", "near", "other"]
)
def test_the_same_input_must_have_the_same_outputs(step: float, failed: int) -> None:
    number = itertools.count()

    async def script(seen: Seen) -> bytes | None:
        if not seen.path.endswith("/infer"):
            return json_answer(METADATA)
        data = [1.0 + step * next(number), 2.0]
        return json_answer(
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": data}]}
        )

    async def run() -> dict[str, int]:
        async with scripted(script) as server:
            requests = Requests(url=server.url, model="m", protocol="v2", verify=True, variants=1)
            source = await open_source(requests)
            return (await load_once(source, requests, closed(1, requests=6))).errors

    assert asyncio.run(run()) == ({"other outputs than before": failed} if failed else {})


@pytest.mark.parametrize(
    ("requests", "error", "said"),
    [
        ({}, UsageError, "names no model"),
        ({"model": "m", "inputs": ("z=3",)}, UsageError, "has no input 'z'"),
        ({"model": "m", "inputs": ("x",)}, UsageError, "write NAME=3x224x224"),
        ({"model": "m", "protocol": "torchserve"}, UsageError, "sends a file"),
        ({"protocol": "torchserve"}, UsageError, "names no model"),
        ({"protocol": "raw", "body": "nowhere"}, UsageError, "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    requests: dict[str, object], error: type[Exception], said: str
) -> None:
    _, script = v2()

    async def run() -> None:
        async with scripted(script) as server:  # type: ignore[arg-type]
            asked = {"url": server.url, "protocol": "v2", **requests}
            await open_source(msgspec.convert(asked, Requests))

    with pytest.raises(error, match=said):
        asyncio.run(run())


def test_a_server_without_the_model_is_one_line() -> None:
    async def script(seen: Seen) -> bytes | None:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno such m"

    async def run() -> None:
        async with scripted(script) as server:
            await open_source(Requests(url=server.url, model="m", protocol="v2"))

    with pytest.raises(EnvironmentFault, match="/v2/models/m answers 404: no such m"):
        asyncio.run(run())


def test_a_shape_begins_again_until_the_time_is_over() -> None:
    load = Load(asked="", pieces=parse_shape("step:2@1s,0@1s"), arrivals="constant", duration=4.5)
    assert list(times_of(load)) == [(at, 0) for at in (0.0, 0.5, 2.0, 2.5, 4.0)]


def test_a_damaged_trace_ends_a_load_before_it_begins(body: Path, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("1\n0\n")
    with pytest.raises(TableError, match="line 2"):
        loaded(at_once, Load(asked="", trace=str(tmp_path / "trace")), body)


@pytest.mark.parametrize(
    ("asked", "path", "kind"),
    [
        ({"protocol": "json"}, "/score", "application/json"),
        ({"protocol": "torchserve", "model": "net"}, "/score/predictions/net", "octet"),
        ({"protocol": "raw", "headers": [["content-type", "image/png"]]}, "/score", "image/png"),
    ],
)
def test_a_file_is_sent_as_the_protocol_has_it(
    body: Path, asked: dict[str, object], path: str, kind: str
) -> None:
    async def run() -> tuple[list[Seen], int]:
        async with scripted(at_once) as server:
            whole = {"url": f"{server.url}/score", "body": str(body), **asked}
            requests = msgspec.convert(whole, Requests)
            source = await open_source(requests)
            run = await load_once(source, requests, closed(1, requests=2))
            return server.seen, run.answered

    seen, answered = asyncio.run(run())
    assert answered == 2
    for each in seen:
        assert each.path == path
        assert kind in each.headers["content-type"]
        assert each.body == body.read_bytes()
        assert each.headers["host"].startswith("127.0.0.1:")
