"""``coresplit serve``: what it chooses, what it refuses, and a real model behind a real socket."""

import concurrent.futures
import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from serving_process import served

import coresplit
from coresplit import store
from coresplit.errors import UsageError
from coresplit.instance import Interrupt
from coresplit.machine.allocators import usable_allocators
from coresplit.planner import Capacity, Option, Profile, ProfilePoint, gains, profiles_of
from coresplit.records import Interval, Variant, split_of
from coresplit.stats.sampling import judged
from coresplit.stats.variance import Location
from coresplit.workflows import serving
from coresplit.workflows.choosing import Choice, choose
from coresplit.workflows.finding import can_choose, is_whole
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest, parse_split
from coresplit.workflows.showing.choice_text import said_of

Coresplit = Callable[..., tuple[int, str, str]]
FORMULA = "fake:2ms + 8ms*b/t@4"
SMALL = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 30 * 30, 10))
"""


def ignore(line: object) -> None:
    """Hears what is of no use here."""


def chosen(request: ServeRequest) -> Choice:
    with Interrupt() as interrupt, Cores(interrupt, wait=False, note=ignore) as cores:
        return choose(request, interrupt, cores, ignore, ignore)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a formula that single requests find fastest on all cores, and throughput on one."""
    return coresplit.bench(
        FORMULA, batches=(1, 2, 4, 8), out=tmp_path_factory.mktemp("served") / "run"
    ).path


def test_by_default_a_single_request_is_about_as_fast_as_it_can_be(run: Path) -> None:
    found = chosen(ServeRequest(target=str(run)))
    assert found.split.cells == ((4, found.most_rows),)
    what, why, beaten = found.reasons
    assert "1 instance of 4 threads" in what
    assert f"{8 / 0.018:.0f} inputs/s" in why
    # each of the others takes 8 inputs in 66 ms, so all four as many as the one in 16.5 ms
    assert "less throughput than 4 instances of 1 thread" in beaten
    assert "faster for one request" in beaten


def test_a_difference_that_noise_could_have_made_is_not_named() -> None:
    def capacity(batch: int, seconds: float, error: float) -> Capacity:
        full = Option(
            split=split_of([(1, batch)]),
            predicted=Interval(low=seconds, value=seconds, high=seconds),
            location=Location(log=math.log(seconds), error=error, df=20),
        )
        return Capacity(variant=Variant("none", "sequential", "default"), first_s=0.01, full=full)

    # a third more throughput, at twice the batch
    slow, fast = capacity(2, 0.2, 0.001), capacity(4, 0.3, 0.001)
    (clear,) = gains(fast, [slow])
    assert clear.relation == "faster"
    assert clear.ratio == pytest.approx(4 / 3)
    (vague,) = gains(capacity(4, 0.3, 0.2), [slow])
    assert vague.relation == "unclear"
    assert vague.ratio == pytest.approx(4 / 3)
    said = said_of("r", fast, [(slow, clear), (slow, vague)])
    assert "33 % more throughput than 1 instance of 1 thread" in said[2]
    assert "too close to call" in said[2]
    assert "measure again" not in said[1]
    shaky = msgspec.structs.replace(fast.full, doubts=("unstable",))
    doubted = msgspec.structs.replace(fast, full=shaky)
    assert "measure again" in said_of("r", doubted, [])[1]


def test_a_latency_allows_more_throughput(run: Path) -> None:
    found = chosen(ServeRequest(target=str(run), slo=0.1))
    assert [threads for threads, _ in found.split.cells] == [1, 1, 1, 1]
    assert found.most_rows == 8
    with pytest.raises(UsageError, match="nothing answers within"):
        chosen(ServeRequest(target=str(run), slo=0.001))


def test_what_is_chosen_for_a_latency_is_not_compared_with_itself(tmp_path: Path) -> None:
    alone = coresplit.bench(FORMULA, threads=(4,), batches=(1, 2), out=tmp_path / "run").path
    # what people use who do not measure is the only thing there is
    found = chosen(ServeRequest(target=str(alone), slo=0.05, optimization="none"))
    assert found.split.cells == ((4, 2),)
    what, why = found.reasons
    assert "1 instance of 4 threads" in what
    assert "99 %" in why


def test_a_batch_takes_the_split_of_its_plan(run: Path) -> None:
    found = chosen(ServeRequest(target=str(run), batch=8))
    # as fast as four instances of one thread, so the simplest is taken
    assert found.split.cells == ((4, 8),)
    assert found.latencies[4, 8] == pytest.approx(0.018, rel=0.02)


def test_a_split_is_taken_as_told_and_nothing_is_measured() -> None:
    found = chosen(ServeRequest(target=FORMULA, split="1x2+2x1", optimization="script"))
    assert [threads for threads, _ in found.split.cells] == [2, 1, 1]
    assert (found.variant.optimization, found.latencies) == ("script", {})
    with pytest.raises(UsageError, match="needs 8 cores, but 4 are usable"):
        chosen(ServeRequest(target=FORMULA, split="2x4"))
    with pytest.raises(UsageError, match="give one of them"):
        chosen(ServeRequest(target=FORMULA, split="2x1", batch=4))


def test_the_newest_run_of_this_machine_is_taken_and_else_one_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no run") as caught:
        chosen(ServeRequest(target=FORMULA, measure=False))
    assert caught.value.option == "split=2x1"
    first = chosen(ServeRequest(target=FORMULA))
    (folder,) = (tmp_path / "runs").iterdir()
    again = chosen(ServeRequest(target=FORMULA, measure=False))
    assert again.split == first.split
    assert folder.name in " ".join(again.reasons)
    # a run without what is asked for is none that fits
    with pytest.raises(UsageError, match="there is no run"):
        chosen(ServeRequest(target=FORMULA, measure=False, allocator="tcmalloc"))


def test_splits_are_chosen_only_of_what_was_measured_on_few_threads_and_on_all(run: Path) -> None:
    known = store.load(run)
    cells = {(threads, 1): ProfilePoint(latency=0.01) for threads in (1, 2, 3, 4)}
    variant = Variant("none", "sequential", "default")
    assert is_whole(Profile(variant=variant, cells=cells), known)
    del cells[4, 1]
    assert not is_whole(Profile(variant=variant, cells=cells), known)
    assert can_choose(known)


@pytest.mark.slow
@pytest.mark.skipif(len(usable_allocators()) < 2, reason="there is one allocator only")
def test_a_short_sweep_tries_the_allocators_of_the_best_optimization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SMALL)
    asked = ServeRequest(
        target="small:Small", input=("x=3x32x32:float32",), trust=True, budget=40.0
    )
    found = chosen(asked)
    first, second = sorted((tmp_path / "runs").iterdir())
    assert second.name == f"{first.name}-best"
    assert set(store.load(first).settings.optimizations) > {"none", "script"}
    swept = store.load(second).settings
    (name,) = swept.optimizations
    known = judged(store.load(first))
    tried = [each for each in profiles_of(known) if each.variant.optimization == name]
    # beside other programs the time may be too short for all thread counts, which then come first
    complete = any(is_whole(each, known) for each in tried)
    assert swept.allocators == (usable_allocators() if complete else ("default",))
    assert found.variant.optimization == name or not can_choose(judged(store.load(second)))
    # the next time nothing is measured, unless the inputs are others
    assert chosen(msgspec.structs.replace(asked, measure=False)).variant == found.variant
    with pytest.raises(UsageError, match="there is no run"):
        chosen(msgspec.structs.replace(asked, measure=False, input=("x=3x32x32:float64",)))


@pytest.mark.parametrize(
    ("text", "threads"), [("2x1", [1, 1]), ("1x8+4x2", [8, 2, 2, 2, 2]), (" 1x1 ", [1])]
)
def test_a_split_is_read(text: str, threads: list[int]) -> None:
    assert parse_split(text) == threads


@pytest.mark.parametrize("text", ["", "2", "x1", "0x1", "1x0", "2x1+", "2*1", "99999x1", "-1x2"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a split"):
        parse_split(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("incepton",), "did you mean 'inception'"),
        ((FORMULA, "--split", "2"), "is not a split"),
        ((FORMULA, "--split", "9x1"), "needs 9 cores"),
        ((FORMULA, "--split", "1x1", "--host", "0.0.0.0"), "--token-file, or --insecure"),
        ((FORMULA, "--split", "1x1", "--token-file", "nowhere"), "cannot be read"),
        ((FORMULA, "--split", "1x1", "--tls-key", "nowhere"), "needs --tls-cert"),
        ((FORMULA, "--split", "1x1", "--tls-cert", "nowhere"), "cannot be used"),
        ((FORMULA, "--split", "1x1", "--port", "70000"), "not in the range"),
        ((FORMULA, "--split", "1x1", "--memory", "999999999"), "of memory are free"),
        ((FORMULA, "--split", "1x1", "--name", "a/b"), "the protocol has no path for"),
        ((FORMULA, "--split", "1x1", "--name", "stats"), "the protocol has no path for"),
        ((FORMULA, "--no-measure"), "--split 2x1"),
    ],
)
def test_a_mistake_is_one_line(
    coresplit: Coresplit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = coresplit("serve", *words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_instances_that_memory_cannot_hold_are_refused(
    coresplit: Coresplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # an instance of a formula says that it takes 100 MB
    monkeypatch.setattr(serving, "available_memory", lambda: 300_000_000)
    words = ("serve", FORMULA, "--split", "3x1", "--port", "0", "--memory", "64")
    code, out, err = coresplit(*words)
    assert (code, out) == (2, "")
    assert "3 instances of 95.4 MiB" in err.splitlines()[-1]


def fetch(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def test_a_formula_is_served_without_torch_and_ends_well(tmp_path: Path) -> None:
    with served(FORMULA, "--split", "2x1", folder=tmp_path) as (process, url):
        status, body = fetch(url)
        assert (status, json.loads(body)["name"]) == (200, "fake")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "coresplit", "serve", FORMULA, "--split", "1x1"),
                *("--port", str(taken.getsockname()[1]), "--memory", "64"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert "cannot listen on 127.0.0.1" in ended.stderr


def test_a_second_signal_ends_a_server_that_has_not_finished(tmp_path: Path) -> None:
    with (
        served("fake:60s", "--split", "1x1", "--grace", "50s", folder=tmp_path) as (process, url),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(
            fetch, f"{url}/infer", bytes(16), **{"Inference-Header-Content-Length": "0"}
        )
        metrics = url.replace("/v2/models/fake", "/metrics")
        while b"coresplit_arena_bytes 0.0" in fetch(metrics)[1]:
            assert not waiting.done()
        process.send_signal(signal.SIGTERM)
        while "draining" not in (tmp_path / "log").read_text():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 1
        status, body = waiting.result(timeout=30)
        assert (status, json.loads(body)["error"]) == (503, "the server was stopped")


@pytest.mark.slow
def test_a_real_model_answers_and_survives_its_instances(tmp_path: Path) -> None:
    words = ("mobilenet_v3_large", "--split", "1x1", "--optimization", "none")
    with served(*words, folder=tmp_path) as (process, url):
        raw = {"Inference-Header-Content-Length": "0"}
        wanted = bytes(3 * 224 * 224 * 4)
        status, first = fetch(f"{url}/infer", wanted, **raw)
        assert status == 200
        (instance,) = children(process.pid)
        os.kill(instance, signal.SIGKILL)
        base = url.rpartition("/models/")[0]
        deadline = time.monotonic() + 120
        while fetch(f"{base}/health/ready")[0] != 200 or children(process.pid) == [instance]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        status, again = fetch(f"{url}/infer", wanted, **raw)
        assert (status, again) == (200, first)
        ours = children(process.pid)
        process.kill()
        process.wait(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in ours):
        assert time.monotonic() < deadline, "an instance outlived its server"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_of_the_readme_gets_an_answer(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    found = re.search(r"^coresplit serve (\w+).*\n((?:head|curl)(?:.*\\\n)*.*)\n```", text, re.M)
    assert found is not None
    with served(found[1], "--split", "1x1", "--optimization", "none", folder=tmp_path) as (_, url):
        port = url.split("/")[2].rpartition(":")[2]
        command = found[2].replace(":8080/", f":{port}/")
        assert command != found[2]
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=120)
    answer = (tmp_path / "answer.bin").read_bytes()
    (output,) = json.loads(answer[:-4000])["outputs"]
    assert (output["shape"], output["datatype"]) == ([1, 1000], "FP32")
