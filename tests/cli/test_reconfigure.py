"""``coresplit reconfigure`` and a real model that changes its instances under load."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate
from serving_process import managed

Coresplit = Callable[..., tuple[int, str, str]]
FORMULA = "fake:2ms + 8ms*b/t@4"
SMALL = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 8))

    def forward(self, x):
        return torch.cat([self.net(x), x[:, :1]], 1)
"""


def test_a_change_is_told_and_a_mistake_is_not_made(coresplit: Coresplit, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sixteen letters!")
    token = ("--token-file", str(tmp_path / "token"))
    words = (FORMULA, "--split", "1x2", "--resident-memory", "1GiB", *token)
    with managed(*words, folder=tmp_path) as (_, url, manage):
        code, out, err = coresplit("reconfigure", manage, "--split", "2x1", *token)
        assert (code, err) == (0, "")
        assert out.startswith("2x1 ")
        assert "2 instances started" in out
        # what names the model is enough, and 1x2 waits warm
        model = manage.removesuffix("/config")
        code, out, _ = coresplit("reconfigure", model, "--split", "1x2", *token)
        assert (code, "all its instances waited warm" in out) == (0, True)
        code, out, _ = coresplit("reconfigure", model, "--split", "1x2", *token)
        assert (code, "it serves already" in out) == (0, True)
        code, out, err = coresplit("reconfigure", manage, "--split", "2x4", *token)
        assert (code, out) == (2, "")
        assert "the split needs 8 cores, but 4 are usable here" in err
        code, _, err = coresplit("reconfigure", manage, "--split", "2x1")
        assert (code, "a token is needed" in err) == (2, True)
        # the serving port cannot change anything
        code, _, err = coresplit("reconfigure", url, "--split", "2x1", *token)
        assert (code, "use GET" in err) == (2, True)


def test_a_change_is_asked_for_over_tls_by_who_trusts_the_server(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with managed(FORMULA, "--split", "1x2", *tls, folder=tmp_path) as (_, _, manage):
        assert manage.startswith("https://")
        asked = ("reconfigure", manage, "--split", "2x1")
        code, out, err = coresplit(*asked)
        assert (code, out) == (2, "")
        assert "cannot be reached" in err
        code, out, err = coresplit(*asked, "--ca", str(certificate))
        assert (code, err) == (0, "")
        assert out.startswith("2x1 ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("http://127.0.0.1:1/v2/models/m/config",), "give one of --split, --set and --adapt"),
        (("http://127.0.0.1:1/v2/models/m", "--split", "1x1"), "127.0.0.1:1 cannot be reached"),
        (("http://127.0.0.1:1/", "--split", "1x1"), "is not what a server prints"),
        (("file:///v2/models/m", "--split", "1x1"), "is not what a server prints"),
        (("http://[::1/v2/models/m", "--split", "1x1"), "is not what a server prints"),
        (("http://127.0.0.1:1/v2/models/modèle", "--split", "1x1"), "is not what a server prints"),
        (
            ("https://127.0.0.1:1/v2/models/m", "--split", "1x1", "--ca", "nowhere"),
            "cannot be used",
        ),
        (
            ("http://127.0.0.1:1/v2/models/m", "--split", "1x1", "--token-file", "nowhere"),
            "cannot be read",
        ),
    ],
)
def test_a_mistake_is_one_line(coresplit: Coresplit, words: tuple[str, ...], message: str) -> None:
    code, out, err = coresplit("reconfigure", *words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_more_memory_needs_a_port_to_change_anything(coresplit: Coresplit) -> None:
    words = ("serve", FORMULA, "--split", "1x1", "--resident-memory")
    assert "needs --adapt or --manage" in coresplit(*words, "1GiB")[2]
    assert "is no size" in coresplit(*words, "1")[2]


def test_a_management_port_that_is_taken_is_one_line(coresplit: Coresplit, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "coresplit", "serve", FORMULA, "--split", "1x1"),
                *("--port", "0", "--manage", port, "--memory", "64"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert "--manage 8082" in ended.stderr


class Clients:
    """Rows that tell whose they are, sent again and again until told to stop."""

    def __init__(self, url: str) -> None:
        self._host, self._path = url.removeprefix("http://").split("/", 1)
        self.stopped = threading.Event()
        self.answered = 0

    def ask(self, number: int) -> list[str]:
        """What went wrong, of one client."""
        drawn = random.Random(number)
        wrong = []
        connection = http.client.HTTPConnection(self._host, timeout=120)
        sent = 0
        # the cores are to be in use, not all the time: instances are started meanwhile
        while not self.stopped.wait(0.02):
            rows = drawn.randint(1, 9)
            tags = [float(1000 * number + 10 * (sent % 90) + row) for row in range(rows)]
            sent += 1
            data = [[tag, *[0.25] * 63] for tag in tags]
            asked = {
                "inputs": [{"name": "x", "shape": [rows, 64], "datatype": "FP32", "data": data}]
            }
            connection.request("POST", f"/{self._path}/infer", json.dumps(asked))
            answer = connection.getresponse()
            body: dict[str, Any] = json.loads(answer.read())
            if answer.status != 200:
                wrong.append(f"{answer.status} {body}")
                continue
            (output,) = body["outputs"]
            assert output["shape"] == [rows, 9]
            if [output["data"][9 * row + 8] for row in range(rows)] != tags:
                wrong.append(f"client {number}: rows were mixed")
            self.answered += 1
        connection.close()
        return wrong


def state(manage: str) -> dict[str, Any]:
    with urllib.request.urlopen(manage, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def pids(manage: str) -> list[int]:
    return [
        instance["pid"]
        for each in state(manage)["sets"]
        for instance in each["instances"]
        if instance.get("pid")
    ]


@pytest.mark.slow
def test_instances_change_and_are_killed_under_load_and_every_answer_is_right(
    coresplit: Coresplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SMALL)
    words = ("small:Small", "--input", "x=64:float32", "--trust", "--split", "1x2")
    with (
        managed(*words, "--optimization", "none", folder=tmp_path) as (_, url, manage),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        clients = Clients(url)
        asking = [pool.submit(clients.ask, number) for number in range(4)]
        drawn = random.Random(1)
        try:
            for _ in range(2):
                for split in ("2x1", "1x2"):
                    code, _, err = coresplit(
                        "reconfigure", manage, "--split", split, "--optimization", "none"
                    )
                    assert code == 0 or "nothing was changed" in err
                with contextlib.suppress(ProcessLookupError):
                    os.kill(drawn.choice(pids(manage)), signal.SIGKILL)
                time.sleep(0.3)
        finally:
            clients.stopped.set()
        assert [each.result(timeout=120) for each in asking] == [[]] * 4
        assert clients.answered > 50
        events = [each["event"] for each in state(manage)["events"]]
        assert events.count("switch made") >= 2


@pytest.mark.slow
def test_an_instance_that_waits_sleeps_and_has_the_scheduling_of_its_server(
    coresplit: Coresplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SMALL)
    words = ("small:Small", "--input", "x=64:float32", "--trust", "--split", "1x1")
    with managed(*words, "--optimization", "none", folder=tmp_path) as (process, _, manage):
        assert (
            coresplit("reconfigure", manage, "--split", "1x1", "--optimization", "script")[0] == 0
        )
        own = os.sched_getscheduler(process.pid)
        for pid in pids(manage):
            threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
            assert {os.sched_getscheduler(thread) for thread in threads} == {own}
            status = Path(f"/proc/{pid}/status").read_text()
            assert "State:\tS" in status
        ready = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()
                 if '"instance ready"' in line]  # fmt: skip
        assert ["quietly" in each for each in ready] == [False, True]
