"""``coresplit serve --adapt``: a server whose instances follow the load."""

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_process import managed

import coresplit as library

Coresplit = Callable[..., tuple[int, str, str]]
FORMULA = "fake:none=10ms + 40ms*b/sqrt(t)@4"
FAT, THIN = "1x4 none", "4x1 none"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single requests are fastest on all cores, many at once on one each."""
    return library.bench(
        FORMULA,
        optimizations=["none"],
        batches=(1, 2, 4, 8),
        out=tmp_path_factory.mktemp("adapted") / "run",
    ).path


def ask(url: str) -> None:
    body = bytes(16)
    request = urllib.request.Request(
        f"{url}/infer", body, {"Inference-Header-Content-Length": "0"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


class Clients:
    """Each asks again when it has its answer, until told to stop."""

    def __init__(self, url: str, count: int) -> None:
        self.failures: list[Exception] = []
        self._url = url
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for each in self._threads:
            each.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                ask(self._url)
            except (OSError, AssertionError) as error:
                self.failures.append(error)
                return

    def stop(self) -> None:
        self._stopped.set()
        for each in self._threads:
            each.join(60)


@contextlib.contextmanager
def load(url: str, count: int) -> Iterator[None]:
    """So many clients; all are answered."""
    clients = Clients(url, count)
    try:
        yield
    finally:
        clients.stop()
    assert clients.failures == []


def state(manage: str) -> dict[str, Any]:
    with urllib.request.urlopen(manage, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait_for(manage: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
    end = time.monotonic() + 90
    while not wanted(found := state(manage)):
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_the_instances_follow_the_load_until_somebody_says_which(
    coresplit: Coresplit, run: Path, tmp_path: Path
) -> None:
    with managed(str(run), "--adapt", folder=tmp_path) as (_, url, manage):
        wait_for(manage, lambda now: all(each["resident"] for each in now["sets"]))
        assert {each["name"] for each in state(manage)["sets"]} >= {FAT, THIN}
        with load(url, 32):
            wait_for(manage, lambda now: now["active"] == THIN)
        with load(url, 1):
            wait_for(manage, lambda now: now["active"] == FAT)
            assert state(manage)["adapting"] is True
            code, out, _ = coresplit("reconfigure", manage, "--split", "4x1")
            assert (code, out.startswith("4x1")) == (0, True)
            assert state(manage)["adapting"] is False
            code, out, _ = coresplit("reconfigure", manage, "--adapt")
            assert (code, "follow the load" in out) == (0, True)
            wait_for(manage, lambda now: now["active"] == FAT)


def test_a_server_that_was_not_started_to_adapt_says_so(
    coresplit: Coresplit, run: Path, tmp_path: Path
) -> None:
    with managed(str(run), folder=tmp_path) as (_, _, manage):
        code, out, err = coresplit("reconfigure", manage, "--adapt")
        assert (code, out) == (2, "")
        assert "was not started" in err
        code, _, err = coresplit("reconfigure", manage, "--adapt", "--split", "1x1")
        assert (code, "give one of" in err) == (2, True)


@pytest.mark.parametrize("more", [("--split", "2x1"), ("--batch", "8")])
def test_adapting_leaves_no_split_to_choose(
    coresplit: Coresplit, run: Path, more: tuple[str, str]
) -> None:
    code, _, err = coresplit("serve", str(run), "--adapt", *more)
    assert code == 2
    assert "leave --split and --batch out" in err
