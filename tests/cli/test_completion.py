"""Completion in bash, zsh and fish: models, optimizations and run folders."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from coresplit.cli.app import app


def complete(line: str) -> list[CompletionItem]:
    """What is offered for the last word of a line."""
    *words, incomplete = line.split(" ")
    return ShellComplete(app, {}, "coresplit", "_CORESPLIT_COMPLETE").get_completions(
        words, incomplete
    )


def values(line: str) -> list[str]:
    return [str(item.value) for item in complete(line)]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("be", ["bench"]),
        ("bench incep", ["inception", "incep"]),
        ("bench fa", ["fake", "fa"]),
        ("bench inception --optimizations none,open", ["none,openvino"]),
        ("bench inception --optimizations a", ["all"]),
        ("bench inception --mapping sequential,", ["sequential,interleave"]),
        ("bench inception --allocator tc", ["tcmalloc"]),
        ("bench inception --setting iso", ["isolated"]),
        ("bench inception --inputs ro", ["rotate"]),
        ("bench --qui", ["--quick"]),
        ("plan run --optimization onnx", ["onnxruntime"]),
        ("plan run --setting pa", ["packed"]),
        ("loa", ["load"]),
        ("load http://x --arrivals po", ["poisson"]),
        ("load http://x --protocol tor", ["torchserve"]),
        ("load http://x --perc", ["--percentile"]),
    ],
)
def test_names_are_completed(line: str, offered: list[str]) -> None:
    assert values(line) == offered


def test_a_model_may_be_a_file_and_a_run_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [item.type for item in complete("bench ./model")] == ["file"]
    assert [item.type for item in complete("plan ")] == ["dir"]
    for name in ("runs/first", "runs/second", "third", "runs/no-run"):
        (tmp_path / name).mkdir(parents=True)
        if not name.endswith("no-run"):
            (tmp_path / name / "run.json").touch()
    assert values("plan ") == ["runs/first", "runs/second", "third"]
    assert values("report runs/first runs/s") == ["runs/second"]
    assert values("bench --resume runs/f") == ["runs/first"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "coresplit"],
        env=os.environ | {"_CORESPLIT_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "_CORESPLIT_COMPLETE" in script.stdout
    assert "_coresplit_completion" in script.stdout


def test_a_duration_reads_what_it_wrote() -> None:
    context = click.Context(app)
    command = app.get_command(context, "bench")
    assert command is not None
    (budget,) = (each for each in command.params if each.name == "budget")
    assert budget.type.convert("90s", budget, context) == 90.0
    assert budget.type.convert(90.0, budget, context) == 90.0
    assert budget.type.convert("none", budget, context) == float("inf")
