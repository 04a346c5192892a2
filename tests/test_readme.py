"""Every command that the README shows is run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
SMALL = ("--input-size", "75", "--batches", "1", "--budget", "20s", "--precision", "30%")


def run(command: str, folder: Path, *more: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stderr}"
    return ended.stdout


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 9
    assert all(command.startswith("coresplit ") for command in COMMANDS)


def test_the_bench_commands_of_the_readme_measure(tmp_path: Path) -> None:
    """On the fake machine: how the real one is measured, the next test and tests/cli show."""
    fresh = [command for command in COMMANDS if re.match("coresplit bench [a-z]", command)]
    assert len(fresh) >= 5
    assert "coresplit bench fake" in fresh
    for number, command in enumerate(fresh):
        fake = command.replace("bench inception", "bench fake")
        run(fake, tmp_path, "--batches", "1,2", "--no-report", "--out", f"run{number}")
        assert (tmp_path / f"run{number}" / "cells.jsonl").stat().st_size > 0
    (resume,) = [command for command in COMMANDS if "--resume" in command]
    folder = shlex.split(resume)[-1]
    (tmp_path / "runs").mkdir()
    (tmp_path / "run0").rename(tmp_path / folder)
    run(resume, tmp_path, "--batches", "4", "--no-report")


@pytest.mark.slow
def test_the_command_that_the_readme_begins_with_measures_a_real_model(tmp_path: Path) -> None:
    command = "coresplit bench inception --quick"
    assert command in COMMANDS
    run(command, tmp_path, *SMALL, "--out", "run")
    assert (tmp_path / "run" / "cells.jsonl").stat().st_size > 0
    assert (tmp_path / "run" / "report" / "index.html").exists()


def test_the_other_commands_of_the_readme_work(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    for example in (ROOT / "examples").iterdir():
        target = tmp_path / "examples" / example.name
        target.mkdir()
        for file in example.glob("*.json*"):
            (target / file.name).write_bytes(file.read_bytes())
    for command in COMMANDS:
        if "bench" not in command:
            run(command, tmp_path)
    assert (tmp_path / "examples" / "inception-epyc-2c" / "report" / "index.html").exists()
    assert (tmp_path / "imported" / "run.json").exists()


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_says_what_it_installs_before_pip_goes_silent(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "--dry-run", "--directory", str(tmp_path), "demo"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    before, pip, _ = ran.stdout.partition("-m pip install")
    assert pip
    assert all(word in before for word in ("PyTorch", "GB", "minutes"))
