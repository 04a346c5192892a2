"""A run folder or table of somebody else: one line or a report, never harm."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from plan_runs import four_cores, verification

from coresplit import store
from coresplit.records import ModelInfo, Run

Coresplit = Callable[..., tuple[int, str, str]]

MARKUP = "<script>alert(1)</script>{{ site.x }}"
CONTROLS = "\x1b[31mred\x9b1m\u202e"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.save(tmp_path / "run", four_cores())
    return tmp_path / "run"


def titled(title: str, name: str = "net") -> Run:
    model = ModelInfo(name=name, title=title, source=title)
    return msgspec.structs.replace(four_cores(), model=model, name=title)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


@pytest.mark.parametrize("name", ["run.json", "cells.jsonl", "journal.jsonl"])
@pytest.mark.parametrize("make", [pipe, device, folder_instead, loop])
def test_what_stands_for_a_file_of_a_run_but_is_none_is_refused(
    coresplit: Coresplit, folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(folder / name)
    for words in (["report"], ["plan"], ["export", "--out", "csv"], ["bench", "--resume"]):
        code, out, err = coresplit(*words, folder)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_run_whose_files_are_links_is_read_but_not_appended_to(
    coresplit: Coresplit, folder: Path, tmp_path: Path
) -> None:
    (folder / "cells.jsonl").rename(tmp_path / "elsewhere")
    (folder / "cells.jsonl").symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    assert coresplit("report", folder, "--format", "csv")[0] == 0
    code, _, err = coresplit("bench", "--resume", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert (tmp_path / "elsewhere").read_bytes() == before


@pytest.mark.parametrize("name", ["index.html", "index.markdown", "net_latency.csv"])
def test_a_report_is_not_written_through_a_link(
    coresplit: Coresplit, tmp_path: Path, name: str
) -> None:
    store.save(tmp_path / "run", titled("Net"))
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    report = tmp_path / "run" / "report"
    report.mkdir()
    (report / name).symlink_to(precious)
    for partial in (f".{os.getpid()}.partial", f".{name}.{os.getpid()}.partial"):
        (report / partial).symlink_to(precious)
    assert coresplit("report", tmp_path / "run", "--format", "html,markdown,csv")[0] == 0
    assert precious.read_text() == "years of work"
    assert (report / name).is_file()
    assert not (report / name).is_symlink()


def test_a_report_folder_that_is_a_link_is_refused(
    coresplit: Coresplit, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (folder / "report").symlink_to(tmp_path / "home")
    code, out, err = coresplit("report", folder)
    assert (code, out) == (2, "")
    assert "is a link; remove it" in err
    assert list((tmp_path / "home").iterdir()) == []


def test_a_pipe_among_the_pictures_does_not_hang(coresplit: Coresplit, folder: Path) -> None:
    pytest.importorskip("vl_convert")
    (folder / "report").mkdir()
    os.mkfifo(folder / "report" / "old.png")
    assert coresplit("report", folder, "--format", "png")[0] == 0


def test_markup_in_a_title_stays_text_on_the_pages(coresplit: Coresplit, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    store.save(tmp_path / "run", titled(MARKUP, MARKUP))
    assert coresplit("report", tmp_path / "run", "--format", "html,markdown")[0] == 0
    for page in ("index.html", "index.markdown"):
        text = (tmp_path / "run" / "report" / page).read_text()
        assert "<script>alert" not in text
        assert "{{" not in text or page == "index.html"


def test_controls_in_a_title_reach_no_terminal(coresplit: Coresplit, tmp_path: Path) -> None:
    store.save(tmp_path / "run", titled(CONTROLS, CONTROLS))
    for words in (
        ["plan", "--batch", "4"],
        ["plan", "--json"],
        ["report", "--format", "csv"],
        ["bench", "--resume"],
    ):
        code, out, err = coresplit(*words, tmp_path / "run")
        assert code in (0, 2)
        for letter in "\x1b\x9b\u202e":
            assert letter not in out + err
        if "--json" in words:
            json.loads(out)


def test_a_name_is_no_path_nor_formula_in_what_is_exported(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    store.save(tmp_path / "run", titled("Net", "=../../" + "x" * 5000))
    code, out, _ = coresplit("export", tmp_path / "run", "--out", tmp_path / "csv")
    assert code == 0
    for line in out.splitlines():
        file = Path(line)
        assert file.parent == tmp_path / "csv"
        assert all(row[0] not in "=+-@" for row in file.read_text().splitlines())


def test_a_table_that_is_a_pipe_or_a_device_is_refused(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "a.csv")
    for table in (tmp_path / "a.csv", "/dev/zero"):
        code, _, err = coresplit("import", table, "--out", tmp_path / "run")
        assert (code, err.count("\n")) == (2, 1)
        assert "is not a regular file" in err


@pytest.mark.parametrize("at", [-1, 1e12, 1e308, 10**400])
def test_a_time_that_no_calendar_has_is_damage(
    coresplit: Coresplit, folder: Path, at: float
) -> None:
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "created_at": at}))
    code, _, err = coresplit("report", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "run.json line" in err


def test_a_batch_that_no_plan_could_be_made_for_is_refused(
    coresplit: Coresplit, folder: Path
) -> None:
    cells = (folder / "cells.jsonl").read_text()
    (folder / "cells.jsonl").write_text(cells.replace('"batch":8', '"batch":1000000000'))
    code, _, err = coresplit("report", folder)
    assert code == 2
    assert "batch 1000000000 is not between 1 and 1048576" in err


@pytest.mark.parametrize("batches", ["9999999999", "1" * 5000, "1,2..1073741824"])
def test_batches_that_cannot_be_stored_are_refused_before_anything_runs(
    coresplit: Coresplit, batches: str
) -> None:
    code, _, err = coresplit("bench", "inception", "--batches", batches)
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("run.json", '"usable": 4', '"usable": 1000000000'),
        ("cells.jsonl", '"threads":4', '"threads":1000000000'),
    ],
)
def test_more_cores_than_a_machine_can_have_are_damage(
    coresplit: Coresplit, folder: Path, file: str, before: str, after: str
) -> None:
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    for command in ("report", "plan"):
        code, _, err = coresplit(command, folder)
        assert code == 2
        assert "1000000000 is not between 1 and 8192" in err


@pytest.mark.parametrize("batch", [0, -1, 2**63 - 1, 10**30])
def test_a_verified_batch_that_is_no_count_is_damage(
    coresplit: Coresplit, tmp_path: Path, batch: int
) -> None:
    run = msgspec.structs.replace(four_cores(), journal=tuple(verification(0.03, rounds=1)))
    store.save(tmp_path / "run", run)
    line = json.loads((tmp_path / "run" / "journal.jsonl").read_text())
    (tmp_path / "run" / "journal.jsonl").write_text(json.dumps({**line, "batch": batch}) + "\n")
    code, _, err = coresplit("report", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "journal.jsonl line 1: " in err
