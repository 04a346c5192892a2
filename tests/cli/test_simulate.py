"""``coresplit simulate``: a load replayed through instances of a run whose figures are known."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import plan_runs
import pytest
from click.testing import CliRunner

from coresplit import store
from coresplit.cli.app import app
from coresplit.cli.commands.load import command as load
from coresplit.cli.commands.simulate import command as simulate
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.simulating.request import SimulateRequest
from coresplit.workflows.simulating.run import simulate_load

Coresplit = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cores: ``script`` answers one request in 9 ms on four threads, and most on one each."""
    return plan_runs.save(plan_runs.four_cores(), tmp_path_factory.mktemp("simulated") / "run")


def found(coresplit: Coresplit, run: Path, *words: object) -> dict[str, Any]:
    code, out, _ = coresplit("simulate", run, *words, "--json")
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["rows"]}


def test_one_client_gets_the_latency_of_the_run_and_what_a_request_costs_beside(
    coresplit: Coresplit, run: Path
) -> None:
    rows = by_name(found(coresplit, run, "--split", "1x4", "--split", "4x1", "--concurrency", "1"))
    for name, latency in (("1x4 script", 9.0), ("4x1 script", 20.0)):
        assert rows[name]["p50"] * 1e3 == pytest.approx(latency, rel=0.1)
        assert rows[name]["throughput"] == pytest.approx(1 / rows[name]["mean"], rel=0.01)


def test_the_time_of_a_client_on_the_same_cores_is_part_of_the_latency(run: Path) -> None:
    def p50(client: float) -> float:
        sending = LoadRequest(urls=(), concurrency=1, duration=60.0)
        request = SimulateRequest(sending=sending, splits=("1x4",), client=client)
        return simulate_load(store.load(run), request, lambda doing: None).rows[0].p50

    assert p50(0.005) - p50(0.0) == pytest.approx(0.005, rel=0.1)


def test_the_table_names_the_best_and_what_adapting_changes(
    coresplit: Coresplit, run: Path
) -> None:
    code, out, err = coresplit("simulate", run, "--shape", "step:4,190@60s", "--rounds", "5")
    assert code == 0
    assert "four, 4 cores, isolated" in out
    assert "step:4,190@60s, poisson, for 2 min 00 s; 5 rounds" in out
    heads = re.search(r"^ +requests +mean +p50 +p99 +requests/s +switches$", out, re.MULTILINE)
    assert heads is not None
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines() if "  " in line)
    assert {"1x4 script", "4x1 script", "adapting", "Packrat's rule"} <= set(lines)
    assert re.search(r"^simulated   .* times as fast as real time$", out, re.MULTILINE)
    # one instance cannot take 190 requests per second one by one or in batches
    assert "1x4 script falls behind" in err or "1x4 script refuses" in err
    assert re.search(r"^best +4x1 script: mean .* as fast \(.* to .*\)", out, re.MULTILINE)


def test_adapting_is_named_better_only_where_the_rounds_show_it(
    coresplit: Coresplit, run: Path
) -> None:
    low = found(coresplit, run, "--rate", "4", "--duration", "60s")
    # nothing is better than one instance on all cores for a request at a time
    assert low["best"] == "1x4 script"
    assert {each["relation"] for each in low["adapted"]["gains"]} == {"equivalent"}
    assert by_name(low)["adapting"]["switches"] == 0


def test_the_same_seed_gives_the_same_document(coresplit: Coresplit, run: Path) -> None:
    words = ("--rate", "30", "--duration", "10s", "--rounds", "3", "--seed", "7")
    one, other = (found(coresplit, run, *words) for _ in range(2))
    for document in (one, other):
        del document["took_s"]
    assert one == other
    third = found(coresplit, run, *words[:-1], "8")
    assert third["rows"] != one["rows"]


def test_a_trace_is_replayed_with_its_rows(coresplit: Coresplit, run: Path, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("0 1\n1 8\n2\n")
    words = ("--trace", tmp_path / "trace", "--rows", "2", "--split", "1x4")
    document = found(coresplit, run, *words)
    (row,) = (each for each in document["rows"] if each["kind"] == "fixed")
    assert row["requests"] == 3
    assert row["p99"] is None
    # one, eight and, as none are told, two rows of one instance on four threads
    assert row["mean"] * 1e3 == pytest.approx((9 + 60 + 14) / 3, rel=0.1)
    assert document["asked"] == f"3 requests of {tmp_path / 'trace'}"
    assert document["adapted"] is None


def test_the_highest_rate_within_a_latency_is_found_for_each(
    coresplit: Coresplit, run: Path
) -> None:
    code, out, _ = coresplit("simulate", run, "--slo", "60ms", "--precision", "10%")
    assert code == 0
    assert "p99 within 60.0 ms" in out
    assert re.search(r"^1x4 script +[\d.]+ requests/s +[\d.]+ requests/s$", out, re.MULTILINE)
    held = found(coresplit, run, "--slo", "60ms", "--precision", "10%")["held"]
    for each in held:
        assert each["search"]["low"] < each["search"]["high"]
        assert each["search"]["limit"] == "server"


def test_no_rate_that_holds_is_the_answer_no(coresplit: Coresplit, run: Path) -> None:
    code, out, _ = coresplit("simulate", run, "--slo", "1ms", "--duration", "2s", "--rate", "1")
    assert code == 1
    assert "no rate holds it" in out


def test_instances_that_differ_can_be_named(coresplit: Coresplit, run: Path) -> None:
    document = found(coresplit, run, "--split", "1x2+2x1", "--optimization", "none")
    assert document["rows"][0]["name"] == "1x2+2x1 none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "2"), "'2' is not a split; write INSTANCESxTHREADS"),
        (("--split", "8x1"), "the split 8x1 needs 8 cores, but the run was measured on 4 cores"),
        (("--split", "1x3"), "lacks instances of 3 threads; it has those of 1-2,4"),
        (("--split", "2x1", "--split", "2x1"), "split 2x1 script is named twice"),
        (("--optimization", "openvino"), "has nothing of openvino; it has none and script"),
        (("--rate", "5", "--concurrency", "2"), "concurrency and rate exclude each other"),
        (("--shape", "hill:5"), "is not a shape"),
        (("--trace", "nowhere"), "the trace nowhere cannot be read"),
        (("--slo", "1s", "--shape", "step:5@5s"), "leave shape out"),
        (("--rate", "0.01", "--duration", "1s"), "no request came in one of the rounds"),
        (("--rounds", "2"), "not in the range"),
    ],
)
def test_a_mistake_is_one_line(
    coresplit: Coresplit, run: Path, words: tuple[str, ...], message: str
) -> None:
    code, out, err = coresplit("simulate", run, *words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no request"),
        ("1\n0.5\n", "line 2: 0.5 s comes before 1 s"),
        ("0\n-1\n", "line 2: '-1' is not a time; it must be 0 or more"),
        ("0\n\n1\n", "line 2 is empty; remove it"),
        ("0 -4\n", "line 1: '-4' is not a number of rows"),
    ],
)
def test_a_damaged_trace_is_told_by_file_and_line(
    coresplit: Coresplit, run: Path, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    code, out, err = coresplit("simulate", run, "--trace", path)
    assert (code, out) == (2, "")
    assert f"{path}" in err
    assert message in err


def test_a_run_without_single_inputs_is_refused(coresplit: Coresplit, tmp_path: Path) -> None:
    whole = plan_runs.four_cores()
    large = [each for each in whole.measurements if each.cell.batch > 1]
    store.save(tmp_path / "run", msgspec.structs.replace(whole, measurements=tuple(large)))
    code, _, err = coresplit("simulate", tmp_path / "run")
    assert code == 2
    assert "has no latency of a single input" in err


def test_options_of_the_load_are_those_of_load() -> None:
    shared = ("concurrency", "think", "rate", "arrivals", "shape", "trace", "rows", "slo",
              "percentile", "precision")  # fmt: skip
    ours, theirs = ({each.name: each.to_info_dict() for each in command.params}
                    for command in (simulate, load))  # fmt: skip
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_help_tells_the_options_and_needs_no_library_of_the_server(run: Path) -> None:
    said = CliRunner().invoke(app, ["simulate", "--help"]).output
    for word in ("--split", "diurnal:", "--slo", "--switch", "--json"):
        assert word in said
    code = (
        "import sys\n"
        "for name in ('httptools', 'hdrh', 'prometheus_client', 'torch', 'numpy'):\n"
        "    sys.modules[name] = None\n"
        "from click.testing import CliRunner\nfrom coresplit.cli.app import app\n"
        f"print(CliRunner().invoke(app, ['simulate', {str(run)!r}]).exit_code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0"
