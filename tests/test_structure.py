"""The rooms and the arrows between them."""

import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import coresplit

SOURCE = Path(__file__).parents[1] / "src" / "coresplit"

COMMON = {"errors", "format", "units", "records"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "format": set(),
    "private": set(),
    "commands": set(),
    "cache": {"errors", "private"},
    "units": {"errors"},
    "records": {"errors", "units"},
    "stats": COMMON,
    "store": COMMON,
    "loading": COMMON | {"stats"},
    "planner": COMMON | {"stats"},
    "analysis": COMMON | {"stats", "planner"},
    "charts": COMMON | {"stats", "analysis"},
    "reports": COMMON | {"commands", "stats", "planner", "analysis", "charts"},
    "machine": COMMON,
    "models": COMMON,
    "optimizations": COMMON | {"cache"},
    "instance": COMMON | {"cache", "machine", "models", "optimizations", "stats"},
    "serving": COMMON | {"instance"},
    "sweep": COMMON | {"instance", "stats"},
    "verifier": COMMON | {"instance", "planner", "stats"},
    "workflows": COMMON
    | {
        "analysis",
        "cache",
        "instance",
        "loading",
        "machine",
        "models",
        "optimizations",
        "planner",
        "reports",
        "serving",
        "stats",
        "store",
        "sweep",
        "verifier",
    },
    "arguments": COMMON | {"results", "workflows"},
    "results": COMMON | {"analysis", "planner", "workflows"},
    "api": COMMON
    | {"arguments", "instance", "machine", "results", "stats", "store", "sweep", "workflows"},
    "cli": COMMON
    | {
        "analysis",
        "cache",
        "commands",
        "instance",
        "machine",
        "models",
        "optimizations",
        "planner",
        "reports",
        "stats",
        "store",
        "sweep",
        "workflows",
    },
    "__main__": {"cli"},
}
MOST_MODULES = 16


@cache
def graph() -> grimp.ImportGraph:
    """Who imports whom; built once, as that reads every module."""
    return grimp.build_graph("coresplit", cache_dir=None)


def imports() -> list[tuple[str, str, str]]:
    return [
        (importer, room_of(importer), room_of(imported))
        for importer in graph().modules
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported != "coresplit"
    ]


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


def test_every_room_is_in_the_table() -> None:
    found = {path.stem for path in SOURCE.iterdir() if path.suffix in ("", ".py")}
    assert found - {"__init__", "__pycache__"} == set(ROOMS)


def test_no_room_hides_a_name_of_the_python_interface() -> None:
    # a room that is imported becomes an attribute of the package, and would take its place
    assert set(ROOMS) & set(coresplit.__all__) == set()


def test_imports_run_one_way() -> None:
    wrong = [
        f"{importer} imports {target}"
        for importer, room, target in imports()
        if room and target != room and target not in ROOMS[room]
    ]
    assert wrong == []


def packages() -> list[str]:
    return sorted(module for module in graph().modules if graph().find_children(module))


@pytest.mark.parametrize("package", packages())
def test_imports_inside_a_room_run_one_way(package: str) -> None:
    members = graph().find_children(package)
    arrows = {
        member: {
            other
            for module in {member, *graph().find_descendants(member)}
            for imported in graph().find_modules_directly_imported_by(module)
            for other in members
            if other != member and f"{imported}.".startswith(f"{other}.")
        }
        for member in members
    }
    # raises CycleError, with the circle
    assert set(TopologicalSorter(arrows).static_order()) == members


@pytest.mark.parametrize("package", packages())
def test_a_folder_stays_small(package: str) -> None:
    plain = {each for each in graph().find_children(package) if not graph().find_children(each)}
    assert len(plain) <= MOST_MODULES


def test_the_import_graph_is_not_empty() -> None:
    assert ("cli", "sweep") in {(room, target) for _, room, target in imports()}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_stays_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("room", ["report", "charts", "analysis"])
def test_command_lines_are_built_in_one_place(room: str) -> None:
    texts = {path: path.read_text() for path in (SOURCE / room).rglob("*.py")}
    assert [path for path, text in texts.items() if re.search(r"--[a-z]", text)] == []
