"""The process that loads a server: where it runs, how it ends, and what it tells."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import at_once, closed, scripted, steady

from coresplit.errors import EnvironmentFault, TableError, UsageError
from coresplit.loading.asked import Load, Requests
from coresplit.loading.process.generator import Generator
from coresplit.loading.process.messages import Progress


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Requests]:
    """Requests for a server in another thread, which answers at once."""
    (tmp_path / "body").write_bytes(b"x" * 1000)
    ports: list[int] = []
    begun, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with scripted(at_once) as server:
            ports.append(server.port)
            begun.set()
            while not end.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert begun.wait(30)
    try:
        url = f"http://127.0.0.1:{ports[0]}/x"
        yield Requests(url=url, protocol="raw", body=str(tmp_path / "body"))
    finally:
        end.set()
        thread.join()


def ignore(progress: Progress) -> None:
    """Nobody looks."""


def test_it_runs_where_it_is_told_and_tells_every_second(asked: Requests) -> None:
    core = max(os.sched_getaffinity(0))
    heard: list[Progress] = []
    generator = Generator(asked, (core,), lambda: False)
    try:
        assert os.sched_getaffinity(generator.pid) == {core}
        assert generator.described == "POST /x, 1000 B each"
        run = generator.load(steady(50, duration=2.2), heard.append)
        again = generator.load(closed(2, requests=10), ignore)
    finally:
        generator.close()
    assert (run.due, run.answered) == (110, 110)
    assert [each.at for each in heard] == [0, 1]
    assert [each.due for each in heard] == [50, 50]
    assert again.answered == 10
    assert not Path(f"/proc/{generator.pid}").exists()


def test_a_wish_to_end_is_followed(asked: Requests) -> None:
    wished: list[Progress] = []
    generator = Generator(asked, (), lambda: bool(wished))
    try:
        run = generator.load(steady(50, duration=600), wished.append)
    finally:
        generator.close()
    assert run.interrupted
    assert 50 <= run.due < 3000


def test_a_process_that_dies_is_one_line(asked: Requests) -> None:
    generator = Generator(asked, (), lambda: False)

    def kill(progress: Progress) -> None:
        os.kill(generator.pid, signal.SIGKILL)

    try:
        with pytest.raises(EnvironmentFault, match="the load process ended with code -9"):
            generator.load(steady(20, duration=600), kill)
    finally:
        generator.close()


def test_what_it_refuses_is_raised_here(asked: Requests, tmp_path: Path) -> None:
    nowhere = Requests(url="http://127.0.0.1:9/x", protocol="raw", body=asked.body)
    with pytest.raises(EnvironmentFault, match="cannot reach"):
        Generator(nowhere, (), lambda: False)
    nameless = Requests(url=asked.url, protocol="v2")
    with pytest.raises(UsageError, match="names no model") as caught:
        Generator(nameless, (), lambda: False)
    assert caught.value.option == "model=NAME"
    (tmp_path / "trace").write_text("soon\n")
    generator = Generator(asked, (), lambda: False)
    try:
        with pytest.raises(TableError, match="line 1: 'soon'"):
            generator.load(Load(asked="", trace=str(tmp_path / "trace")), ignore)
        # it goes on with what can be followed
        assert generator.load(closed(1, requests=3), ignore).answered == 3
    finally:
        generator.close()
