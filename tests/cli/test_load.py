"""``coresplit load`` against ``coresplit serve fake``: what it tells, what it refuses."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from serving_process import served

from coresplit.cli.app import app
from coresplit.loading.wire.address import parse_url
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.loading.run import is_near, places_for

Coresplit = Callable[..., tuple[int, str, str]]
FORMULA = "fake:2ms + 2ms*b/t@4"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a model that is served."""
    folder = tmp_path_factory.mktemp("loaded")
    with served(FORMULA, "--split", "2x1", folder=folder) as (_, address):
        yield address


def test_a_closed_loop_tells_latencies_and_throughput(coresplit: Coresplit, url: str) -> None:
    code, out, err = coresplit("load", url, "--concurrency", "2", "--requests", "120", "--verify")
    assert code == 0
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert lines["load"] == "2 clients, 120 requests at most"
    assert lines["answered"] == "120 of 120"
    assert "requests/s" in lines["throughput"]
    said = lines.get("latency") or lines["generator"]
    assert re.match(r"p50 [\d.]+ m?s, p90 .*, p99 .*, max .*, mean ", said)
    assert "p99.9" not in said
    assert "model fake, 1 row" in err


def test_one_document_holds_all_and_can_be_read_back(coresplit: Coresplit, url: str) -> None:
    import msgspec

    from coresplit.records.load import LoadResult

    words = ("--rate", "100", "--arrivals", "constant", "--duration", "1500ms")
    code, out, _ = coresplit("load", url, *words, "--warmup", "500ms", "--rows", "2", "--json")
    assert code == 0
    found = msgspec.json.decode(out, type=LoadResult)
    (run,) = found.runs
    assert (run.due, run.answered, run.failed) == (100, 100, 0)
    assert run.window_s == pytest.approx(1.0)
    assert run.warmup_s == 0.5
    assert sum(second.due for second in run.seconds) == 150
    assert run.splits[0].instances == 2
    assert run.latency is not None
    assert run.latency.p50 <= run.latency.max
    shares = [share for share, _ in run.distribution]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram.decode(run.histogram)
    assert histogram.get_total_count() == 100
    assert histogram.get_value_at_percentile(50) * 1e-6 == pytest.approx(run.latency.p50, rel=2e-3)


@pytest.mark.parametrize("encoding", ["binary", "raw", "json"])
def test_every_encoding_gets_right_answers(coresplit: Coresplit, url: str, encoding: str) -> None:
    words = ("--encoding", encoding, "--requests", "20", "--json", "--verify")
    code, out, _ = coresplit("load", url, *words)
    assert code == 0
    assert json.loads(out)["runs"][0]["answered"] == 20


def test_a_trace_is_followed(coresplit: Coresplit, url: str, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("0 1\n0.1 3\n0.2 2\n")
    code, out, _ = coresplit("load", url, "--trace", tmp_path / "trace", "--json")
    (run,) = json.loads(out)["runs"]
    assert (code, run["answered"], run["rows"]) == (0, 3, 6)


def test_requests_that_fail_are_counted_and_the_exit_code_says_so(
    coresplit: Coresplit, url: str
) -> None:
    host = url.rpartition("/v2/")[0]
    words = ("--protocol", "raw", "--body", __file__, "--requests", "5")
    code, out, _ = coresplit("load", f"{host}/v2/nowhere", *words)
    assert code == 1
    assert "errors      status 404: 5" in out
    assert "answered    0 of 5, 5 failed" in out


def test_two_servers_are_compared_in_rounds(coresplit: Coresplit, url: str) -> None:
    words = ("--rounds", "3", "--duration", "400ms", "--warmup", "100ms", "--concurrency", "1")
    code, out, _ = coresplit("load", url, url, *words, "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found["runs"]) == 6
    assert {run["url"] for run in found["runs"]} == {url}
    said = {each["what"]: each for each in found["compared"]}
    for each in said.values():
        assert each["low"] <= each["ratio"] <= each["high"]


def test_the_highest_rate_within_a_latency_is_searched(coresplit: Coresplit, url: str) -> None:
    words = ("--slo", "200ms", "--percentile", "50", "--precision", "90%", "--duration", "400ms")
    code, out, _ = coresplit("load", url, *words, "--warmup", "100ms", "--json", "--rate", "50")
    found = json.loads(out)["search"]
    assert found["trials"][0]["rate"] == 50
    assert (code == 0) == (found["low"] is not None)
    assert found["limit"] in ("server", "generator", "none")


def test_ctrl_c_ends_the_load_and_tells_what_was_measured(url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "coresplit", "load", url, "--rate", "50", "--duration", "10m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "second 1" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("ended by the user")
    assert re.search(r"answered    \d+ of \d+", out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ftp://x",), "is not a URL"),
        (("http://127.0.0.1:9",), "names no model"),
        (("http://127.0.0.1:9/v2/models/m",), "cannot reach 127.0.0.1:9: connection refused"),
        (("URL", "--rate", "5", "--concurrency", "2"), "concurrency and rate exclude each other"),
        (("URL", "--rate", "0"), "not in the range"),
        (("URL", "--shape", "hill:5"), "is not a shape"),
        (("URL", "--trace", "nowhere"), "cannot be read"),
        (("URL", "--think", "1s", "--rate", "5"), "--concurrency 1"),
        (("URL", "--duration", "1s", "--warmup", "1s"), "--duration 10s"),
        (("URL", "--header", "nonsense"), "is not a header"),
        (("URL", "--header", "a: b\nc: d"), "is not a header"),
        (("URL", "--header", "Content-Length: 3"), "is set by the load itself"),
        (("URL", "--slo", "1s", "--shape", "step:5@5s"), "leave shape out"),
        (("URL", "--slo", "1m"), "--timeout 600s"),
        (("URL", "URL", "URL"), "two servers"),
        (("URL", "--cores", "x"), "is not a list of cores"),
        (("URL", "--cores", "4095"), "core 4095 cannot be used"),
        (("URL", "--body", "nowhere"), "cannot be read"),
        (("URL", "--input", "z=3"), "has no input 'z'"),
        (("URL", "--protocol", "json"), "--body FILE"),
    ],
)
def test_a_mistake_is_one_line(
    coresplit: Coresplit, url: str, words: tuple[str, ...], message: str
) -> None:
    code, out, err = coresplit("load", *(url if word == "URL" else word for word in words))
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_damaged_trace_is_told_by_file_and_line(
    coresplit: Coresplit, url: str, tmp_path: Path
) -> None:
    (tmp_path / "trace").write_text("0\n1 x\n")
    code, _, err = coresplit("load", url, "--trace", tmp_path / "trace")
    assert code == 2
    assert f"{tmp_path / 'trace'}, line 2: 'x' is not a number of rows" in err


@pytest.mark.parametrize(("module", "package"), [("hdrh", "hdrhistogram"), ("httptools",) * 2])
def test_what_is_not_installed_is_one_line(
    coresplit: Coresplit, url: str, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == module else real(name, *more),
    )
    code, _, err = coresplit("load", url)
    assert code == 2
    assert f"loading needs {package}, which is not installed" in err
    assert "pip install 'coresplit[serve]'" in err


def test_a_server_on_this_machine_is_found_by_its_port() -> None:
    mask = tuple(sorted(os.sched_getaffinity(0)))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        # this process is bound to nothing, so that the load shares all with it
        found = places_for(LoadRequest(urls=(f"http://127.0.0.1:{port}/v2/models/m",)))
        assert (found.cpus, found.shared) == ((), mask)
        told = places_for(LoadRequest(urls=(f"http://localhost:{port}/x",), cores=mask[:1]))
        assert (told.cpus, told.shared) == (mask[:1], mask[:1])
    far = places_for(LoadRequest(urls=("http://192.0.2.1/v2/models/m",)))
    assert (far.cpus, far.shared) == (mask[-1:], ())


@pytest.mark.parametrize(
    ("url", "near"),
    [("http://[::1]:80/", True), ("http://127.1.2.3/", True), ("http://example.org/", False)],
)
def test_what_is_near_is_known_by_its_address(url: str, near: bool) -> None:
    assert is_near(parse_url(url)) == near


def test_help_names_the_shapes_and_imports_nothing_heavy() -> None:
    said = CliRunner().invoke(app, ["load", "--help"]).output
    for word in ("step:5,50@30s", "diurnal:", "--percentile", "--verify"):
        assert word in said
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom coresplit.cli.app import app\n"
        "CliRunner().invoke(app, ['--help'])\n"
        "print([name for name in sys.modules if name.startswith('coresplit.loading') "
        "or name in ('numpy', 'httptools', 'hdrh', 'torch', 'asyncio')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_page_is_written_beside_the_numbers(
    coresplit: Coresplit, url: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("--shape", "ramp:20..60@1s", "--out", out)
    code, _, err = coresplit("load", url, *words)
    assert code == 0
    assert f"page    {out / 'index.html'}" in err
    page = (out / "index.html").read_text()
    assert "ramp:20..60@1s, poisson, for 1.00 s" in page
    assert "2 instances" in page
    assert json.loads((out / "result.json").read_text())["runs"][0]["failed"] == 0
    (tmp_path / "link").symlink_to(out)
    code, _, err = coresplit("load", url, "--out", tmp_path / "link")
    assert code == 2
    assert "is a link" in err
