"""Sweeps of the real model, in real pinned processes, as a user starts them."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from coresplit import store
from coresplit.machine.inspection import inspect
from coresplit.planner import verifications_of
from coresplit.records import Ended, Run
from coresplit.stats.contention import doubt

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "coresplit")
SMALL = ("--input-size", "75", "--batches", "1,2,4", "--precision", "50%", "--threads", "1")
# a small network of one's own, as good as any for processes, signals and quotas
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4096, 4096)

    def forward(self, x):
        return self.fc(x)
"""
ONE = ("mine:Net", "--input", "4096", "--threads", "1", "--optimizations", "none")
LONG = (*ONE, "--batches", "1,2,4..64", "--precision", "0.01%")
BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names}:
            raise ImportError(name + ' is not installed')
sys.meta_path.insert(0, Blocker())
"""


def bench(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "bench", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a small network in it."""
    (tmp_path / "mine.py").write_text(NET)
    return tmp_path


@contextmanager
def started(*arguments: object, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep in the background that is ended with the test."""
    with subprocess.Popen(
        [*COMMAND, "bench", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_lines(file: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{file} did not get {count} lines")


def samples_of(run: Run) -> dict[str, tuple[float, ...]]:
    """Samples of the cells that nothing disturbed: the others are measured again on resuming."""
    return {
        str(each.cell): each.samples
        for each in run.measurements
        if each.samples and not doubt(each)
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a complete small sweep."""
    folder = tmp_path_factory.mktemp("finished")
    ended = bench("inception", *SMALL, "--budget", "60s", "--out", "run", "--json", folder=folder)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["cells"].keys() <= {"measured", "light", "unstable"}
    return folder / "run"


def test_a_sweep_measures_every_cell_and_builds_the_report(finished: Path) -> None:
    run = store.load(finished)
    assert len(run.measurements) == 6
    assert all(each.samples for each in run.measurements)
    for each in run.measurements:
        assert each.evidence is not None
        assert len(each.evidence.thread_cores) <= 1
    assert isinstance(run.journal[-1], Ended)
    names = {path.name for path in (finished / "report").iterdir()}
    assert {"index.html", "index.markdown", "inception-latency-4.png"} <= names
    assert "inception_latency.csv" in names


@pytest.mark.skipif(inspect().usable < 2, reason="one core has nothing to split")
def test_a_plan_is_verified_by_running_it(finished: Path, tmp_path: Path) -> None:
    measured = store.load(finished)
    # what is planned must not hang on how busy the machine was
    exact = tuple(
        msgspec.structs.replace(each, samples=tuple(0.1 * each.cell.batch for _ in each.samples))
        for each in measured.measurements
    )
    run = tmp_path / "run"
    store.save(run, msgspec.structs.replace(measured, measurements=exact))
    ended = subprocess.run(
        [*COMMAND, "plan", "run", "--batch", "2", "--cores", "2", "--verify", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["split"] == [{"instances": 2, "threads": 1, "batch": 1}]
    verified = document["verified"]
    assert verified["verdict"] == "tied"
    assert verified["rounds"] == 10
    assert verified["fat_s"] is None
    assert 0 < verified["thin_s"] == verified["split_s"] < 10
    (found,) = verifications_of(store.load(run).journal)
    assert [trial.name for trial in found.trials] == ["split"]
    assert len(found.trials[0].samples) == 10


@pytest.mark.skipif(inspect().usable < 2, reason="one core has no copies")
def test_a_run_is_extended_by_packed_cells_and_planned_with_them(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("run.json", "cells.jsonl", "journal.jsonl"):
        (run / name).write_bytes((finished / name).read_bytes())
    before = samples_of(store.load(run))
    cores = inspect().usable
    ended = subprocess.run(
        [
            *(*COMMAND, "plan", "run", "--batch", str(2 * cores), "--setting", "packed"),
            *("--optimization", "script", "--measure", "--budget", "1m", "--json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["setting"] == "packed"
    after = store.load(run)
    assert after.settings.settings == ("isolated", "packed")
    assert {cores, 1} <= set(after.settings.threads)
    packed = [each for each in after.measurements if each.cell.setting == "packed"]
    sampled = [each for each in packed if each.samples]
    assert sampled
    for each in sampled:
        assert each.evidence is not None
        assert len(set(each.evidence.thread_cores)) == len(each.evidence.thread_cores)
        assert {len(durations) for durations in each.copies} == {cores // each.cell.threads}
    for cell, samples in before.items():
        assert samples_of(after)[cell][: len(samples)] == samples


def test_a_killed_sweep_keeps_all_it_measured_and_is_resumed(own: Path) -> None:
    with started(*LONG, "--out", "run", folder=own) as process:
        wait_for_lines(own / "run" / "cells.jsonl", 2)
        process.kill()
        process.wait()
    killed = store.load(own / "run")
    before = samples_of(killed)
    assert any(each.samples for each in killed.measurements)
    words = ("--resume", "run", "--trust", "--budget", "10s", "--no-report")
    ended = bench(*words, folder=own)
    assert ended.returncode == 0, ended.stderr
    after = samples_of(store.load(own / "run"))
    assert len(after) >= len(before)
    for cell, samples in before.items():
        assert after[cell][: len(samples)] == samples


def test_ctrl_c_saves_and_builds_the_report(own: Path) -> None:
    with started(*LONG, "--out", "run", folder=own) as process:
        wait_for_lines(own / "run" / "cells.jsonl", 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted after" in err
    assert ": coresplit bench --resume run" in err
    assert "Traceback" not in err
    assert "run/report/index.html" in out
    run = store.load(own / "run")
    assert len({each.cell for each in run.measurements}) == len(run.measurements)
    assert (own / "run" / "report" / "index.html").exists()


def test_ctrl_c_twice_ends_at_once_with_all_cells_on_disk(own: Path) -> None:
    with started(*LONG, "--out", "run", folder=own) as process:
        wait_for_lines(own / "run" / "cells.jsonl", 2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (own / "run" / "report" / "index.html").exists()
    kept = store.load(own / "run").measurements
    assert sum(bool(each.samples) for each in kept) >= 2


def test_under_a_quota_of_one_and_a_half_cores_one_thread_is_used(group: Path, own: Path) -> None:
    (group / "cpu.cfs_period_us").write_text("100000")
    (group / "cpu.cfs_quota_us").write_text("150000")
    words = (*ONE[:3], "--optimizations", "none", "--batches", "1,2", "--precision", "50%")
    ended = in_group(group, *words, "--budget", "10s", folder=own)
    assert ended.returncode == 0, ended.stderr
    (path,) = (own / "runs").iterdir()
    run = store.load(path)
    assert run.settings.threads == (1,)
    assert run.machine is not None
    assert run.machine.quota_cores == 1.5
    assert any(each.samples for each in run.measurements)
    assert {each.verdict for each in run.measurements}.isdisjoint({"invalid", "failed", "skipped"})


def test_a_quota_under_one_core_is_refused(group: Path, tmp_path: Path) -> None:
    (group / "cpu.cfs_period_us").write_text("100000")
    (group / "cpu.cfs_quota_us").write_text("80000")
    ended = in_group(group, "inception", folder=tmp_path)
    assert ended.returncode == 2
    assert "the CPU quota of 0.8 cores is under one core" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_cell_that_was_throttled_is_invalid(group: Path, own: Path) -> None:
    (group / "cpu.cfs_period_us").write_text("100000")
    arguments = (
        *(*ONE, "--batches", "128,256", "--precision", "0.01%"),
        *("--budget", "20s", "--out", "run", "--no-report"),
    )
    script = IN_GROUP.format(group=str(group))
    with subprocess.Popen(
        [sys.executable, "-c", script, "bench", *arguments],
        cwd=own,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_lines(own / "run" / "journal.jsonl", 2)
        (group / "cpu.cfs_quota_us").write_text("30000")
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    invalid = [each for each in store.load(own / "run").measurements if each.verdict == "invalid"]
    assert invalid
    assert invalid[0].reason.startswith("the CPU quota throttled ")


IN_GROUP = """
import os, sys
from pathlib import Path
Path({group!r}, "cgroup.procs").write_text(str(os.getpid()))
from coresplit.cli import main
main()
"""


def in_group(group: Path, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-c", IN_GROUP.format(group=str(group)))
    return subprocess.run(
        [*program, "bench", *map(str, arguments), "--no-report"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


class Code:
    """A pickle that would run something when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("kind", ["text", "code", "other model"])
def test_unusable_weights_are_one_line_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    if kind == "text":
        file.write_text("these are no weights")
    elif kind == "code":
        file.write_bytes(pickle.dumps(Code()))
    else:
        import torch

        torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    ended = bench("inception", *SMALL, "--weights", "weights.pth", folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("coresplit: weights ")
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]


def test_reporting_needs_no_torch(finished: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "report", str(finished), "--format", "html,csv"],
        env={**os.environ, "PYTHONPATH": blocking(tmp_path, {"torch", "numpy"})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{finished}/report/index.html\n"


def blocking(folder: Path, names: set[str]) -> str:
    place = folder / "blocking"
    place.mkdir()
    (place / "sitecustomize.py").write_text(BLOCK.format(names=sorted(names)))
    return str(place)
