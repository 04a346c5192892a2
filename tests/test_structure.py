"""The rooms and the arrows between them."""

from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "coresplit"

COMMON = {"errors", "units", "records"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "private": set(),
    "cache": {"errors", "private"},
    "units": {"errors"},
    "records": {"errors", "units"},
    "stats": COMMON,
    "store": COMMON,
    "planner": COMMON | {"stats"},
    "machine": COMMON,
    "models": COMMON,
    "optimizations": COMMON | {"cache"},
    "instance": COMMON | {"cache", "machine", "models", "optimizations"},
    "sweep": COMMON | {"instance", "stats", "machine"},
    "verify": COMMON | {"instance", "machine", "planner", "stats"},
    "report": COMMON | {"stats", "planner"},
    "cli": COMMON
    | {
        "cache",
        "stats",
        "store",
        "machine",
        "models",
        "optimizations",
        "instance",
        "sweep",
        "planner",
        "verify",
        "report",
    },
    "__main__": {"cli"},
}


def imports() -> list[tuple[str, str, str]]:
    graph = grimp.build_graph("coresplit", cache_dir=None)
    return [
        (importer, room_of(importer), room_of(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported != "coresplit"
    ]


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


def test_every_room_is_in_the_table() -> None:
    found = {path.stem for path in SOURCE.iterdir() if path.suffix in ("", ".py")}
    assert found - {"__init__", "__pycache__"} == set(ROOMS)


def test_imports_run_one_way() -> None:
    wrong = [
        f"{importer} imports {target}"
        for importer, room, target in imports()
        if room and target != room and target not in ROOMS[room]
    ]
    assert wrong == []


def test_the_import_graph_is_not_empty() -> None:
    assert ("cli", "sweep") in {(room, target) for _, room, target in imports()}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_stays_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
