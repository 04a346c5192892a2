"""Sweeps of the model fake through the real command line: all that needs neither torch nor time."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coresplit import store
from coresplit.planner import verifications_of
from coresplit.records import Ended, Run

Coresplit = Callable[..., tuple[int, str, str]]

COMMAND = (sys.executable, "-m", "coresplit")
# a thread is worth less than the one before it, so that small instances finish a batch first
LATENCY = "none=1ms + 9ms*b/sqrt(t); script=1ms + 8ms*b/sqrt(t)"
SPLIT = [{"instances": 4, "threads": 1, "batch": 1}]
# writes down what was refused, as a refusal may be caught
REFUSING = """
import sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names}:
            with open({note!r}, 'a') as file:
                print(name, file=file)
            raise ImportError(name + ' is not installed')
sys.meta_path.insert(0, Refusing())
"""
HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "openvino", "nncf", "transformers"}
FULL_DISK = """
import resource
from coresplit.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
main()
"""

Said = subprocess.CompletedProcess[str]


def ran(
    *arguments: str, folder: Path, program: tuple[str, ...] = COMMAND, refuse: frozenset[str]
) -> Said:
    """A command in a process of its own that can import none of the packages ``refuse``."""
    place = folder / "refusing"
    place.mkdir(exist_ok=True)
    text = REFUSING.format(names=sorted(refuse), note=str(folder / "refused.txt"))
    (place / "sitecustomize.py").write_text(text)
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def samples_of(run: Run) -> dict[str, tuple[float, ...]]:
    return {str(each.cell): each.samples for each in run.measurements if each.samples}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All commands in the life of a run, without torch: what each said, and the run after it."""
    folder = tmp_path_factory.mktemp("life")
    words = {
        "bench": ["bench", "fake", "--latency", LATENCY, "--cores", "4", "--batches", "1,2,4"],
        "plan": ["plan", "run", "--batch", "4", "--json"],
        "verify": ["plan", "run", "--batch", "4", "--verify", "--json"],
        "resume": ["bench", "--resume", "run", "--batches", "8", "--no-report"],
        "report": ["report", "run", "--format", "markdown"],
    }
    words["bench"] += ["--out", "run", "--budget", "none", "--no-report", "--json"]
    found: dict[str, Any] = {"folder": folder}
    for name, arguments in words.items():
        ended = ran(*arguments, folder=folder, refuse=frozenset(HEAVY))
        assert ended.returncode == 0, f"{name}\n{ended.stderr}"
        found[name] = ended.stdout
        found[f"run after {name}"] = store.load(folder / "run")
    return found


def copied(life: dict[str, Any], folder: Path) -> Path:
    """The run folder, to be changed by a test."""
    (folder / "run").mkdir()
    for name in ("run.json", "cells.jsonl", "journal.jsonl"):
        shutil.copy(life["folder"] / "run" / name, folder / "run" / name)
    return folder / "run"


def test_a_fake_lives_without_torch_and_never_asks_for_it(life: dict[str, Any]) -> None:
    assert not (life["folder"] / "refused.txt").exists()


def test_the_refusal_of_these_tests_is_noticed(tmp_path: Path) -> None:
    program = (sys.executable, "-c", "import torch")
    assert ran(folder=tmp_path, program=program, refuse=frozenset(HEAVY)).returncode == 1
    assert (tmp_path / "refused.txt").read_text() == "torch\n"


def test_bench_measures_every_cell_and_its_json_keeps_its_keys(life: dict[str, Any]) -> None:
    document = json.loads(life["bench"])
    assert document["run"] == "run"
    assert document["report"] is None
    assert document["cells"] == {"measured": 24}
    assert document["outputs_not_checked"] == {}
    assert document["ended"] == "complete"
    assert document["wall_s"] > document["forward_s"] > 0
    run = life["run after bench"]
    assert len(run.measurements) == 2 * 4 * 3
    assert isinstance(run.journal[-1], Ended)
    assert run.machine.cpu_model == "fake processor"
    for each in run.measurements:
        cell = each.cell
        factor = {"none": 0.009, "script": 0.008}[cell.optimization]
        exact = 0.001 + factor * cell.batch / cell.threads**0.5
        assert each.samples == pytest.approx([exact] * len(each.samples), rel=0.03)
        assert each.evidence.thread_cores == tuple(map(str, range(cell.threads)))


def test_plan_finds_the_split_that_the_formula_makes_fastest(life: dict[str, Any]) -> None:
    document = json.loads(life["plan"])
    assert document["split"] == SPLIT
    assert document["verdict"] == "faster"
    assert document["latency_s"] == pytest.approx(0.009, rel=0.01)
    assert document["speedup_over_fat"] == pytest.approx(17 / 9, rel=0.01)
    assert document["verified"] is None


def test_verify_runs_the_split_beside_its_rival_and_keeps_the_rounds(life: dict[str, Any]) -> None:
    document = json.loads(life["verify"])
    verified = document["verified"]
    assert verified["rounds"] == 10
    assert verified["verdict"] == "confirmed"
    # the slowest of four
    assert verified["split_s"] == verified["thin_s"] == pytest.approx(0.009, rel=0.01)
    assert verified["fat_s"] == pytest.approx(0.017, rel=0.01)
    (found,) = verifications_of(life["run after verify"].journal)
    assert {trial.name for trial in found.trials} == {"split", "fat"}
    assert {len(trial.samples) for trial in found.trials} == {10}
    assert samples_of(life["run after verify"]) == samples_of(life["run after bench"])


def test_resuming_adds_batches_and_keeps_every_sample(life: dict[str, Any]) -> None:
    after = life["run after resume"]
    assert after.settings.batches == (1, 2, 4, 8)
    assert len(after.measurements) == 32
    assert all(each.samples for each in after.measurements)
    for cell, samples in samples_of(life["run after verify"]).items():
        assert samples_of(after)[cell][: len(samples)] == samples
    assert verifications_of(after.journal) == verifications_of(life["run after verify"].journal)
    assert "run     run" in life["resume"]


def test_the_report_is_written_as_markdown(life: dict[str, Any]) -> None:
    assert life["report"] == "run/report/index.markdown\n"
    text = (life["folder"] / "run" / "report" / "index.markdown").read_text()
    assert "32 measured" in text
    assert "fake processor" in text
    assert not (life["folder"] / "run" / "report" / "index.html").exists()


def test_verify_exits_with_1_where_a_rival_was_faster(
    coresplit: Coresplit, life: dict[str, Any], tmp_path: Path
) -> None:
    run = copied(life, tmp_path)
    text = (run / "run.json").read_text()
    # the same machine, whose threads are worth more now than when it was measured
    (run / "run.json").write_text(text.replace("b/sqrt(t)", "b/(t*t)"))
    journal = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in journal if '"trials"' not in line]
    (run / "journal.jsonl").write_text("".join(kept))
    assert kept != journal
    code, out, _ = coresplit("plan", run, "--batch", 4, "--verify", "--json")
    assert json.loads(out)["verified"]["verdict"] == "refuted"
    assert code == 1


def test_packed_cells_are_added_to_a_run_and_planned_with(
    coresplit: Coresplit, life: dict[str, Any], tmp_path: Path
) -> None:
    run = copied(life, tmp_path)
    before = samples_of(store.load(run))
    words = ("--setting", "packed", "--optimization", "script", "--measure", "--json")
    code, out, err = coresplit("plan", run, "--batch", 8, *words)
    assert code == 0, err
    assert json.loads(out)["setting"] == "packed"
    after = store.load(run)
    assert after.settings.settings == ("isolated", "packed")
    packed = [each for each in after.measurements if each.cell.setting == "packed"]
    assert {each.cell.threads for each in packed} == {1, 2}
    for each in packed:
        assert each.samples
        assert {len(durations) for durations in each.copies} == {4 // each.cell.threads}
        assert [max(durations) for durations in each.copies] == pytest.approx(each.samples)
    for cell, samples in before.items():
        assert samples_of(after)[cell][: len(samples)] == samples


def test_a_run_is_refused_on_another_machine(
    coresplit: Coresplit, life: dict[str, Any], tmp_path: Path
) -> None:
    run = copied(life, tmp_path)
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"kernel": "none"', '"kernel": "2.6.32"'))
    code, _, err = coresplit("bench", "--resume", run)
    assert code == 2
    assert "kernel: 2.6.32 there, none here" in err
    assert err.count("\n") == 1


def test_a_seed_measures_the_same_every_time(coresplit: Coresplit, tmp_path: Path) -> None:
    words = ("bench", "fake", "--batches", "1,2", "--no-report", "--precision", "5%")
    found = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert coresplit(*words, "--seed", seed, "--out", tmp_path / name)[0] == 0
        found.append(samples_of(store.load(tmp_path / name)))
    assert found[0] == found[1] != found[2]


def test_a_budget_that_runs_out_says_how_to_go_on(coresplit: Coresplit, tmp_path: Path) -> None:
    words = ("bench", "fake:1s*b/t", "--budget", "60s", "--no-report", "--out", tmp_path / "run")
    code, _, err = coresplit(*words)
    assert code == 0
    assert "the budget ran out after" in err
    assert f": coresplit bench --resume {tmp_path / 'run'}" in err
    verdicts = {each.verdict for each in store.load(tmp_path / "run").measurements}
    assert verdicts == {"estimated", "light"}


def test_a_budget_that_is_too_small_is_told_before_it_is_spent(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    words = ("bench", "fake:1s*b/t", "--budget", "60s", "--no-report", "--out", tmp_path / "run")
    assert "would fit about all of them" in coresplit(*words)[2]


@pytest.mark.parametrize("formula", ["1ms/((t-5)*(t-5))@8", "1ms*(t-4)*(t-4)"])
def test_a_formula_that_fails_for_a_cell_ends_in_one_line(
    coresplit: Coresplit, tmp_path: Path, formula: str
) -> None:
    assert coresplit("bench", f"fake:{formula}", "--out", tmp_path / "run")[0] in (0, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bench", "fake:8 ms"), "is not a positive duration for all threads t and batches b"),
        (("bench", "fake:8ms@999"), "'999' is not a number of cores"),
        (
            ("bench", "inception", "--latency", "8ms"),
            "--latency and --cores are for the model fake",
        ),
        (("bench", "inception", "--cores", "2"), "--latency and --cores are for the model fake"),
        (("bench", "fake", "--cores", "2", "--threads", "3"), "3 is too many, 2 cores are usable"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    coresplit: Coresplit, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code, out, err = coresplit(*words, "--out", tmp_path / "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_measuring_needs_no_plotting_library(tmp_path: Path) -> None:
    words = ("bench", "fake", "--batches", "1,2", "--out", "run")
    ended = ran(*words, folder=tmp_path, refuse=frozenset({"vl_convert", "jinja2"}))
    assert ended.returncode == 0, ended.stderr
    assert "pip install 'coresplit[report]'" in ended.stderr
    assert "then: coresplit report run" in ended.stderr
    assert store.load(tmp_path / "run").measurements


def test_a_full_disk_ends_the_sweep_and_keeps_what_is_there(tmp_path: Path) -> None:
    ended = ran(
        *("bench", "fake", "--precision", "0.01%", "--out", "run"),
        folder=tmp_path,
        program=(sys.executable, "-c", FULL_DISK),
        refuse=frozenset(HEAVY),
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(
        "coresplit: the file size limit is reached while writing run/cells.jsonl"
    )
    assert "--resume run" in last
    assert "Traceback" not in ended.stderr
    assert store.load(tmp_path / "run").warnings == ()
    assert samples_of(store.load(tmp_path / "run"))
