"""What contributors, reporters and the workflow are told is so."""

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from coresplit.models.sources import needs_trust

Coresplit = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GITHUB = ROOT / ".github"
FORMS = ("bug", "feature")
TARGETS = {*re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE), ".venv/installed"}


def loaded(path: Path) -> Any:  # noqa: ANN401
    return yaml.safe_load(path.read_text())


def workflow() -> Any:  # noqa: ANN401
    return loaded(GITHUB / "workflows" / "ci.yml")


def commands(job: str) -> list[str]:
    """The lines that a job runs, continued lines as one."""
    runs = [step["run"] for step in workflow()["jobs"][job]["steps"] if "run" in step]
    return [line for line in "\n".join(runs).replace("\\\n", " ").splitlines() if line]


def targets_of(text: str) -> list[str]:
    words = [shlex.split(line)[1:] for line in re.findall(r"\bmake [^\n`]+", text)]
    return [word for line in words for word in line if "=" not in word]


def packages_of(text: str) -> set[str]:
    """What is installed by apt, without words of the shell."""
    (line,) = re.findall(r"apt-get install ([^>\n]+)", text.replace("\\\n", " "))
    return {word for word in shlex.split(line) if not word.startswith("-")}


def test_every_workflow_job_runs_make_targets_that_exist() -> None:
    assert {"lint", "test", "coverage", ".venv/installed"} <= TARGETS
    for job in workflow()["jobs"]:
        lines = commands(job)
        assert any(line.startswith("make ") for line in lines)
        for line in lines:
            assert line.startswith("make ") or "apt-get" in line
            assert {*targets_of(line)} <= TARGETS


def test_the_workflow_does_what_a_change_must_pass() -> None:
    must = (ROOT / ".ci" / "run").read_text()
    check = workflow()["jobs"]["check"]
    assert {*targets_of(must)} == {"lint", "docs", "test"}
    assert {*targets_of("\n".join(commands("check")))} == {
        ".venv/installed",
        "lint",
        "docs",
        "test",
    }
    assert packages_of("\n".join(commands("check"))) == packages_of(must) - {"chromium"}
    assert check["env"] == dict(re.findall(r'export (\w+)="?(\w+)', must))


def test_the_workflow_runs_every_python_that_the_readme_names() -> None:
    found = workflow()["jobs"]["check"]["strategy"]["matrix"]["python"]
    assert found == ["3.11", "3.12", "3.13"]
    assert f"Python {found[0]} to {found[-1]}" in (ROOT / "README.md").read_text()
    assert f"Python {found[0]} to {found[-1]}" in CONTRIBUTING
    assert PROJECT["project"]["requires-python"] == f">={found[0]}"
    assert [
        step["with"]["python-version"] in found
        for step in workflow()["jobs"]["coverage"]["steps"]
        if "setup-python" in step.get("uses", "")
    ] == [True]


def test_the_workflow_may_read_only_and_ends() -> None:
    found = workflow()
    assert found["permissions"] == {"contents": "read"}
    assert found["concurrency"]["group"]
    for job in found["jobs"].values():
        assert job["timeout-minutes"] == 60
        assert "permissions" not in job
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in used)
        (cache,) = [step["with"] for step in job["steps"] if step.get("with")]
        assert (cache["cache"], cache["cache-dependency-path"]) == ("pip", "constraints.txt")


def test_every_constraint_is_exact_and_in_order() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line) for line in lines)
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(names) == len(set(names))
    assert {"coverage", "pytest-cov", "pyyaml"} <= set(names)
    for extra in PROJECT["project"]["optional-dependencies"]["dev"]:
        assert "[" in extra or extra in names


def test_hooks_use_the_tools_of_the_project() -> None:
    (repo,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    ran = [hook["entry"].split()[:2] for hook in repo["hooks"]]
    assert ran == [[".venv/bin/ruff", "check"], [".venv/bin/ruff", "format"], [".venv/bin/mypy"]]
    assert all(hook["language"] == "system" for hook in repo["hooks"])


@pytest.mark.parametrize("name", FORMS)
def test_a_form_asks_for_the_machine_the_version_and_the_command(name: str) -> None:
    form = loaded(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert form["name"]
    assert form["description"]
    asked = [each for each in form["body"] if each["type"] != "markdown"]
    identities = [each["id"] for each in asked]
    assert len(identities) == len(set(identities))
    assert any(each.get("validations", {}).get("required") for each in asked)
    words = " ".join(each["attributes"].get("description", "") for each in asked)
    for wanted in ("coresplit doctor --json", "coresplit --version", "command", "output"):
        assert wanted in words.lower()


def test_the_commands_of_contributing_exist() -> None:
    assert {"check", "test", "lint", "docs", "format", "coverage", ".venv/installed"} == {
        *targets_of(CONTRIBUTING)
    }
    assert {*targets_of(CONTRIBUTING + (GITHUB / "pull_request_template.md").read_text())} <= (
        TARGETS
    )
    shown = re.findall(r"`\.venv/bin/pytest (\S+?)(?: -k (\w+))?`", CONTRIBUTING)
    assert len(shown) == 2
    for file, word in shown:
        assert re.search(rf"^def test_\w*{word}", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_link_and_file_that_is_named_is_there(name: str) -> None:
    text = (ROOT / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    files = re.findall(r"`((?:tests|docs|benchmarks|\.ci)/[\w./]*|\w+\.(?:toml|md|txt))`", text)
    assert [each for each in (*links, *files) if not (ROOT / each).exists()] == []


def trusted_rows() -> dict[str, str]:
    """The kinds of model in the table of SECURITY.md that need ``--trust``."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", SECURITY, re.MULTILINE)
    return {kind: code for kind, code, trust in rows if "needed" in trust.replace("not needed", "")}


def test_security_names_every_kind_of_model_that_needs_trust() -> None:
    kinds = " ".join(trusted_rows())
    for name in (".pt2", ".pt", ".pth", "TorchScript", "pickle", "package.module:attribute"):
        assert name in kinds
    for name in (".onnx", ".safetensors", "hf:", "torchvision:", "timm:"):
        assert name not in kinds
        assert name in SECURITY
    assert all(code.startswith("yes") for code in trusted_rows().values())


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("net.pt2", True),
        ("net.pt", True),
        ("net.pth", True),
        ("package.module:attribute", True),
        ("net.onnx", False),
        ("hf:net", False),
        ("torchvision:net", False),
        ("timm:net", False),
    ],
)
def test_security_says_of_trust_what_the_code_does(name: str, needed: bool) -> None:
    assert needs_trust(name) == needed
    kind = name.replace("net", "") if "." in name else name.partition(":")[0] + ":"
    assert any(kind in each for each in trusted_rows()) == needed


def test_the_version_is_told_by_name(coresplit: Coresplit) -> None:
    version = PROJECT["project"]["version"]
    assert coresplit("--version") == (0, f"coresplit, version {version}\n", "")


def test_coverage_is_a_target_of_its_own() -> None:
    recipes = dict(re.findall(r"^([a-z]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    assert [name for name, recipe in recipes.items() if "--cov" in recipe] == ["coverage"]
    assert "--cov" not in PROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    assert 50 < PROJECT["tool"]["coverage"]["report"]["fail_under"] < 100
