"""One optimization that fails, however it does so, and the others that are measured beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coresplit import store
from coresplit.records import Run

pytestmark = pytest.mark.slow

NET = """
import ctypes, sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 30)

    def forward(self, x):
        if torch.jit.is_tracing():
            {}
        return self.fc(x)
"""
SMALL = ("--input", "4", "--threads", "1", "--batches", "1", "--precision", "50%", "--no-report")


def bench(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "coresplit", "bench", *arguments, "--budget", "90s"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def only_none_is_measured(folder: Path, reason: str) -> Run:
    run = store.load(folder / "run")
    by_name = {each.cell.optimization: each for each in run.measurements}
    assert by_name.pop("none").samples
    for other in by_name.values():
        assert other.verdict == "failed"
        assert reason in other.reason
        assert "\n" not in other.reason
    return run


CRASH = ("ctypes.string_at(0)", "SIGSEGV: Fatal Python error")


@pytest.mark.parametrize(
    ("order", "happens", "reason"),
    [
        pytest.param("none,trace", *CRASH, id="crash"),
        pytest.param("trace,none", *CRASH, id="crash of the first"),
        pytest.param("trace,none", "raise MemoryError('30 GiB')", "30 GiB", id="memory"),
    ],
)
def test_a_failure_while_preparing_leaves_the_others_measured(
    tmp_path: Path, order: str, happens: str, reason: str
) -> None:
    (tmp_path / "mine.py").write_text(NET.format(happens))
    ended = bench(tmp_path, "mine:Net", *SMALL, "--optimizations", order, "--out", "run")
    assert ended.returncode == 0, ended.stderr
    only_none_is_measured(tmp_path, reason)


def test_one_that_exits_leaves_the_others_measured_and_the_run_is_resumed_and_complete(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(NET.format("sys.exit('I am off')"))
    names = ("--optimizations", "trace,none", "--out", "run")
    ended = bench(tmp_path, "mine:Net", *SMALL, *names)
    assert ended.returncode == 0, ended.stderr
    only_none_is_measured(tmp_path, "exit code 1: I am off")
    again = bench(tmp_path, "--resume", "run", "--trust", "--no-report")
    assert again.returncode == 0, again.stderr
    assert "complete" in again.stderr
    only_none_is_measured(tmp_path, "exit code 1: I am off")


def test_a_cache_that_cannot_be_written_fails_only_what_needs_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NET.format("pass"))
    names = ("--optimizations", "none,onnxruntime", "--out", "run")
    ended = bench(tmp_path, "mine:Net", *SMALL, *names, CORESPLIT_CACHE="/proc/cache")
    assert ended.returncode == 0, ended.stderr
    only_none_is_measured(tmp_path, "/proc/cache")


def test_a_model_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NET.format("pass").replace("self.fc(x)", "self.fc(x, x)"))
    ended = bench(tmp_path, "mine:Net", *SMALL, "--optimizations", "none,trace", "--out", "run")
    assert ended.returncode == 2
    said = [line for line in ended.stderr.splitlines() if line.startswith("coresplit: ")]
    assert len(said) == 1 and "cannot run on inputs of shape" in said[0]
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()
