"""The recipes of docs/architecture.md are followed word for word, on a copy of the sources."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "coresplit"
TEXT = (ROOT / "docs" / "architecture.md").read_text().partition("## Add something")[2]
_PARTS = re.split(r"^### (.+)$", TEXT, flags=re.MULTILINE)[1:]
RECIPES = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))
FENCE = re.compile(r'^```(python|diff) title="(\S+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def follow(recipe: str, package: Path) -> list[Path]:
    """Apply the blocks of a recipe; what was written or changed."""
    touched = []
    for language, name, body in FENCE.findall(recipe):
        path = package / name
        if language == "python":
            assert not path.exists(), f"{name} is there already"
            path.write_text(body)
        else:
            lines = body.splitlines(keepends=True)
            assert {line[0] for line in lines} == {" ", "+"}
            before = "".join(line[1:] for line in lines if line[0] == " ")
            text = path.read_text()
            assert text.count(before) == 1, f"{name} has these lines {text.count(before)} times"
            path.write_text(text.replace(before, "".join(line[1:] for line in lines)))
        touched.append(path)
    return touched


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources in which every recipe was followed."""
    folder = tmp_path_factory.mktemp("recipes") / "src"
    shutil.copytree(
        SOURCE, folder / "coresplit", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    for recipe in RECIPES.values():
        assert follow(recipe, folder / "coresplit")
    return folder


def run(sources: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=sources.parent,
        env={**os.environ, "PYTHONPATH": str(sources)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, f"{arguments}\n{ended.stderr}"
    return ended.stdout


def coresplit(sources: Path, *arguments: str) -> str:
    return run(sources, "-m", "coresplit", *arguments)


def test_there_is_a_recipe_for_each_kind() -> None:
    assert list(RECIPES) == ["An optimization", "A model", "A chart", "A command"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_five_steps_and_names_what_is_there(name: str) -> None:
    steps = FENCE.sub("", RECIPES[name])
    assert len(re.findall(r"^\d\. ", steps, re.MULTILINE)) == 5
    code = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    for word in re.findall(r"`([^`]+)`", steps):
        if "/" in word or word.endswith((".md", ".toml", ".txt")):
            assert (SOURCE / word).exists() or (ROOT / word).exists(), word
        elif not word.startswith("-") and " " not in word:
            assert re.search(rf"\b{re.escape(word.split('(')[0].split('.')[-1])}\b", code), word


def test_the_copy_is_what_runs(sources: Path) -> None:
    assert str(sources) in run(sources, "-c", "import coresplit; print(coresplit.__file__)")


def test_every_added_module_can_be_imported(sources: Path) -> None:
    added = [name for recipe in RECIPES.values() for _, name, _ in FENCE.findall(recipe)]
    names = [f"coresplit.{name.removesuffix('.py').replace('/', '.')}" for name in added]
    assert len(set(names)) == 8
    run(sources, "-c", f"import {', '.join(names)}")


def test_an_added_optimization_and_model_are_listed(sources: Path) -> None:
    listed = coresplit(sources, "list")
    assert "what it does, in a line for coresplit list" in " ".join(listed.split())
    assert "one convolution, 3x32x32 images, 10 classes" in " ".join(listed.split())


def test_an_added_optimization_and_chart_are_in_a_report(sources: Path) -> None:
    grid = ("--threads", "1,2", "--batches", "1,2", "--optimizations", "none,mine")
    coresplit(sources, "bench", "fake", *grid, "--no-report", "--out", "fake")
    coresplit(sources, "report", "fake", "--format", "markdown,png")
    page = (sources.parent / "fake" / "report" / "index.markdown").read_text()
    assert "One thread has the lowest cost per input at batch" in page
    assert "mine" in page
    assert (sources.parent / "fake" / "report" / "fake-one-thread.png").stat().st_size > 0


def test_an_added_command_runs_and_is_in_the_help(sources: Path) -> None:
    assert "Print the folder of the cache." in coresplit(sources, "--help")
    assert coresplit(sources, "where").strip()


def test_what_a_recipe_shows_is_in_the_style_of_the_project(sources: Path) -> None:
    config = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")
    for command in (["check"], ["format", "--check"]):
        run(sources, "-m", "ruff", *command, *config, str(sources / "coresplit"))


@pytest.mark.slow
def test_an_added_model_is_measured_with_an_added_optimization(sources: Path) -> None:
    grid = ("--threads", "1", "--batches", "1", "--optimizations", "none,mine")
    limits = ("--budget", "20s", "--precision", "30%", "--no-report", "--out", "tiny")
    coresplit(sources, "bench", "tiny", *grid, *limits)
    cells = (sources.parent / "tiny" / "cells.jsonl").read_text()
    assert '"optimization":"mine"' in cells
    assert '"failed"' not in cells
