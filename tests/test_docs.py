"""The documentation: every page is reachable, every command and example in it is true."""

import contextlib
import io
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml  # type: ignore[import-untyped]

import coresplit as package
from coresplit.cache import VARIABLE
from coresplit.cli.app import COMMANDS, app
from coresplit.machine.environment import THREAD_VARIABLES
from coresplit.machine.reservation import SHARED
from coresplit.optimizations import OPTIMIZATIONS
from coresplit.planner.profile import Doubt
from coresplit.records import Setting, Verdict
from coresplit.serving.metrics import Metrics

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PAGES = sorted(path for path in DOCS.rglob("*.md") if "hooks" not in path.parts)
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GENERATED = {"security.md", "changelog.md", *(f"notebooks/{each.stem}.md" for each in NOTEBOOKS)}
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def in_nav(entry: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from in_nav(each)


def test_every_page_is_in_the_navigation() -> None:
    found = {str(page.relative_to(DOCS)) for page in PAGES} | GENERATED
    assert sorted(in_nav(SITE["nav"])) == sorted(found)


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", text):
        if "://" not in link:
            target = (page.parent / link).resolve()
            generated = target.is_relative_to(DOCS) and str(target.relative_to(DOCS)) in GENERATED
            assert target.exists() or generated, link


def test_the_readme_links_to_pages_that_exist_outside_of_the_site() -> None:
    assert not [link for link in re.findall(r"\]\(docs/([^)#]+)", README()) if link in GENERATED]


def README() -> str:  # noqa: N802
    return (ROOT / "README.md").read_text()


def commands_in(text: str) -> Iterator[list[str]]:
    """The arguments of every ``coresplit`` that is shown, in blocks and in running text."""
    for _, language, body in BLOCK.findall(text):
        if language in ("sh", "console", "yaml", "text", "fish", ""):
            for line in body.replace("\\\n", " ").splitlines():
                plain = re.sub(r"\$\(.*\)", "", line)
                if found := re.search(r"(?:^|^ *\$ |run: |IMAGE )coresplit (.+)$", plain):
                    yield shlex.split(re.split(r" [>|] ", found[1])[0], comments=True)
    prose = BLOCK.sub("", text)
    for shown in re.findall(r"`coresplit ([^`]+)`", prose):
        yield shlex.split(shown.replace("\n", " "))


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_every_command_of_a_page_has_options_that_exist(page: Path) -> None:
    top = click.Context(app, info_name="coresplit")
    for name, *arguments in commands_in(page.read_text()):
        if name.startswith("-") or name.isupper():
            continue
        command = app.get_command(top, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=top)
        command.make_parser(context).parse_args(args=list(arguments))


def test_commands_are_found() -> None:
    found = [arguments[0] for page in READ for arguments in commands_in(page.read_text())]
    assert len(found) > 40
    assert set(COMMANDS) <= set(found)


def test_the_python_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / "howto" / "python.md").read_text())
    names: dict[str, object] = {}
    said = ""
    assert [language for _, language, _ in blocks].count("python") >= 6
    for _, language, body in blocks:
        if language == "text":
            assert said == body
        else:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(body, "python.md", "exec"), names)
            said = out.getvalue()


def test_the_python_of_the_readme_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (body,) = [body for _, language, body in BLOCK.findall(README()) if language == "python"]
    assert len(body.splitlines()) <= 7
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(body, "README.md", "exec"), {})
    assert "confirmed" in out.getvalue()


def test_the_tutorial_shows_what_the_fake_model_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coresplit: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / "tutorial.md").read_text())
    shown = [
        (shlex.split(command)[2:], output)
        for (_, _, command), (_, _, output) in itertools.pairwise(blocks)
        if command.startswith("$ ") and "fake" in command
    ]
    assert len(shown) == 2
    for arguments, output in shown:
        code, said, noted = coresplit(*arguments)
        assert code == 0
        assert [
            line for line in output.splitlines() if line not in f"{said}{noted}".split("\n")
        ] == []


def test_every_room_is_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    told = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    source = Path(package.__file__).parent
    rooms = {path.stem for path in source.iterdir() if path.suffix in ("", ".py")}
    assert sorted(told) == sorted(rooms - {"__init__", "__pycache__"})


def test_the_glossary_has_every_verdict_doubt_and_setting() -> None:
    text = (DOCS / "glossary.md").read_text()
    verdicts = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(verdicts) == sorted(get_args(Verdict))
    for word in (*get_args(Doubt), *get_args(Setting)):
        assert f"`{word}`" in text
    lossy = [name for name, each in OPTIMIZATIONS.items() if each.lossy]
    assert all(f"`{name}`" in text for name in lossy)


def test_the_environment_page_has_every_variable() -> None:
    text = (DOCS / "reference" / "environment.md").read_text()
    for name in (VARIABLE, SHARED, *THREAD_VARIABLES):
        assert f"`{name}" in text


def test_the_python_reference_has_every_stable_name() -> None:
    text = (DOCS / "reference" / "api.md").read_text()
    assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_serving_page_has_every_metric() -> None:
    text = (DOCS / "howto" / "serve.md").read_text()
    there = {
        name
        for line in Metrics("m").text().decode().splitlines()
        if line.startswith("# TYPE") and not (name := line.split()[2]).endswith("_created")
    }
    assert len(there) >= 11
    assert there == set(re.findall(r"`(coresplit_\w+)", text))


def test_no_page_names_a_folder_of_somebodys_machine() -> None:
    texts = [path.read_text() for path in (*READ, *NOTEBOOKS)]
    assert not [found for text in texts for found in re.findall(r"/(?:work|tmp|root|home)/", text)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(bool(cell["outputs"]) for cell in code) >= 6
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert kinds <= {"stream", "execute_result", "display_data"}
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.filterwarnings("default")  # those of the kernel are not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    stored = [bool(cell.get("outputs")) for cell in notebook.cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    assert [bool(cell.get("outputs")) for cell in notebook.cells] == stored


class Loads(HTMLParser):
    """What a page loads by itself, or asks another site for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next"):
            return
        if tag != "a":
            self.found += [str(given[name]) for name in ("src", "href") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text())
        assert loads.found
        assert [each for each in loads.found if re.match(r"(?:\w+:)?//", each)] == []


def test_the_site_has_the_help_of_every_command_and_the_outputs_of_the_notebook(site: Path) -> None:
    help_page = (site / "reference" / "cli.html").read_text()
    assert all(f"Usage: coresplit {name}" in help_page for name in COMMANDS)
    assert "confirmed" in (site / "notebooks" / "first-sweep.html").read_text()
    reference = (site / "reference" / "api.html").read_text()
    plain = re.sub(r"<[^>]+>", "", reference)
    assert "&gt;&gt;&gt; run = coresplit.bench" in plain
    for each in (package.bench, package.Plan.split, package.NotMeasured):
        first = (each.__doc__ or "").partition(".")[0].replace("``", "")
        assert first in plain
