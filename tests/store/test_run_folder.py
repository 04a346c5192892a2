"""Run folders: what is written is what is loaded, and every other folder is refused in one line."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from store_samples import ESTIMATED, JOURNAL, MEASUREMENTS, RUN, SKIPPED, measured

from coresplit.errors import DamagedRunError, RunError, UsageError
from coresplit.records import Cell, Disturbed, Interval, Measurement, Published, Signs
from coresplit.store import create, load, reopen, require_new, save

FULL = msgspec.structs.replace(RUN, measurements=MEASUREMENTS, journal=JOURNAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "tiny-20260101-120000"
    save(path, FULL)
    return path


def stored_lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def refusal(path: Path) -> str:
    with pytest.raises(DamagedRunError) as caught:
        load(path)
    text = str(caught.value)
    assert text.isprintable()
    return text.replace(f"{path}/", "")


def test_what_was_appended_and_logged_is_loaded(tmp_path: Path) -> None:
    with create(tmp_path / "run", RUN) as writer:
        for measurement in MEASUREMENTS:
            writer.append(measurement)
        for entry in JOURNAL:
            writer.log(entry)
    assert load(tmp_path / "run") == FULL


def test_a_saved_run_is_loaded_as_it_was(folder: Path) -> None:
    assert load(folder) == FULL
    assert sorted(each.name for each in folder.iterdir()) == [
        "cells.jsonl",
        "journal.jsonl",
        "run.json",
    ]


def test_the_manifest_is_readable_and_names_schema_and_version(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    assert text.startswith('{\n  "schema": 3,\n  "coresplit": "0.')
    assert '    "batches": [1, 2, 4],\n' in text
    assert '    "anchor": {\n      "optimization": "none",\n' in text
    assert list(json.loads(text)) == [
        "schema",
        "coresplit",
        "name",
        "created_at",
        "model",
        "settings",
        "machine",
        "software",
    ]


def test_each_measurement_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    with create(tmp_path / "run", RUN) as writer:
        for number, measurement in enumerate(MEASUREMENTS, start=1):
            writer.append(measurement)
            assert load(tmp_path / "run").measurements == MEASUREMENTS[:number]


def test_the_last_line_of_a_cell_stands_in_the_place_of_the_first(tmp_path: Path) -> None:
    later = measured(1, 1, 0.1, 0.101, 0.102, 0.103)
    with create(tmp_path / "run", RUN) as writer:
        for measurement in (measured(1, 1), measured(2, 1), later):
            writer.append(measurement)
    assert load(tmp_path / "run").measurements == (later, measured(2, 1))
    assert len(stored_lines(tmp_path / "run" / "cells.jsonl")) == 3


def test_a_torn_last_line_is_left_out_with_a_warning(folder: Path) -> None:
    cells = folder / "cells.jsonl"
    cells.write_bytes(cells.read_bytes()[:-9])
    run = load(folder)
    assert run.measurements == MEASUREMENTS[:-1]
    assert run.warnings == (f"{cells} line 5 was cut off while being written and is ignored",)


def test_a_torn_line_of_the_journal_is_left_out_with_a_warning(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b"\0\0\0\0")
    run = load(folder)
    assert run.journal == JOURNAL
    assert run.warnings == (f"{journal} line 5 was cut off while being written and is ignored",)


def test_reopening_cuts_the_torn_line_so_that_the_next_starts_on_its_own(folder: Path) -> None:
    for name in ("cells.jsonl", "journal.jsonl"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    run, writer = reopen(folder)
    assert run.measurements == MEASUREMENTS[:-1]
    assert len(run.warnings) == 2
    with writer:
        writer.append(MEASUREMENTS[-1])
        writer.log(JOURNAL[-1])
    assert load(folder) == FULL


def test_reopening_a_whole_folder_changes_nothing(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    run, writer = reopen(folder)
    writer.close()
    assert run == FULL
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_second_writer_is_refused_until_the_first_closes(folder: Path) -> None:
    writer = reopen(folder)[1]
    with pytest.raises(UsageError, match="is in use by another coresplit"):
        reopen(folder)
    writer.close()
    writer.close()
    reopen(folder)[1].close()


def test_a_folder_just_created_is_locked(tmp_path: Path) -> None:
    with create(tmp_path / "run", RUN), pytest.raises(UsageError, match="another coresplit"):
        reopen(tmp_path / "run")


def test_a_closed_writer_refuses_to_append(folder: Path) -> None:
    writer = reopen(folder)[1]
    writer.close()
    with pytest.raises(ValueError, match="was closed"):
        writer.append(measured(1, 1))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"samples": ()}, "verdict 'measured' does not go with no value"),
        ({"samples": (0.1, float("nan"))}, "cell none t=1 b=1 cannot be stored"),
        ({"samples": (0.1, float("inf"))}, "cell none t=1 b=1 cannot be stored"),
        ({"samples": (0.1, 0.0)}, "sample 0.0 is not a duration"),
        ({"samples": (0.1, -1.0)}, "sample -1.0 is not a duration"),
        ({"warmup": (-1.0,)}, "warm-up sample -1.0 is not a duration"),
        ({"verdict": "skipped"}, "verdict 'skipped' does not go with samples"),
        ({"verdict": "guessed"}, "Invalid enum value 'guessed'"),
        ({"samples": ("0.1",)}, "Expected `float`, got `str`"),
        (
            {"estimate": Interval(low=1.0, value=1.0, high=1.0)},
            "does not go with samples and estimate",
        ),
        (
            {
                "samples": (),
                "warmup": (),
                "visits": (),
                "published": Published(minimum=2.0, mean=1.0, maximum=3.0),
            },
            "published minimum, mean and maximum are not in order: 2.0, 1.0, 3.0",
        ),
        (
            {
                "verdict": "estimated",
                "samples": (),
                "warmup": (),
                "visits": (),
                "estimate": Interval(low=1.0, value=3.0, high=2.0),
            },
            "estimated low, latency and high are not in order: 1.0, 3.0, 2.0",
        ),
        ({"cell": Cell(optimization="none", threads=0, batch=1)}, "threads 0 is not between 1"),
        ({"cell": Cell(optimization="none", threads=1, batch=-2)}, "batch -2 is not between 1"),
        ({"cell": Cell(optimization="", threads=1, batch=1)}, "has no name"),
    ],
)
def test_a_measurement_that_breaks_its_rules_is_neither_written_nor_read(
    folder: Path, changes: dict[str, object], rule: str
) -> None:
    bad: Measurement = msgspec.structs.replace(measured(1, 1), **changes)
    before = (folder / "cells.jsonl").read_bytes()
    with reopen(folder)[1] as writer, pytest.raises(ValueError, match="stored") as caught:
        writer.append(bad)
    assert rule in str(caught.value)
    assert (folder / "cells.jsonl").read_bytes() == before
    (folder / "cells.jsonl").write_bytes(before + msgspec.json.encode(bad) + b"\n")
    assert refusal(folder).startswith("cells.jsonl line 6: ")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"nonsense", "cells.jsonl line 2: JSON is malformed"),
        (b"", "cells.jsonl line 2: Input data was truncated"),
        (b'{"cell": {}}', "cells.jsonl line 2: Object missing required field `optimization`"),
        (b'{"mystery\\n": 1}', "cells.jsonl line 2: Object contains unknown field `mystery?`"),
        (b'{"reason": "\xff"}', "cells.jsonl line 2: 'utf-8' codec can't decode byte 0xff"),
        (b'{"warmup": [1e999]}', "cells.jsonl line 2: Number out of range"),
    ],
)
def test_damage_elsewhere_is_an_error_that_names_file_and_line(
    folder: Path, line: bytes, what: str
) -> None:
    cells = folder / "cells.jsonl"
    lines = stored_lines(cells)
    cells.write_bytes(b"".join([lines[0], line + b"\n", *lines[2:]]))
    text = refusal(folder)
    assert text.startswith(what)
    assert text.endswith("; restore the file or remove the line")


def test_an_unreadable_last_line_with_its_newline_is_damage(folder: Path) -> None:
    with (folder / "cells.jsonl").open("ab") as stream:
        stream.write(b'{"cell": {"optim\n')
    assert refusal(folder).startswith("cells.jsonl line 6: ")


def test_a_torn_line_does_not_hide_damage_before_it(folder: Path) -> None:
    cells = folder / "cells.jsonl"
    cells.write_bytes(b"x\n" + cells.read_bytes()[:-9])
    assert refusal(folder).startswith("cells.jsonl line 1: ")


def test_damage_in_the_journal_names_its_line(folder: Path) -> None:
    with (folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"type": "party", "at": 1.0}\n')
    assert refusal(folder).startswith("journal.jsonl line 5: Invalid value 'party'")


def test_an_anchor_sample_that_is_no_duration_is_damage(folder: Path) -> None:
    with (folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"type": "anchor", "at": 1.0, "samples": [0.1, 0.0]}\n')
    assert refusal(folder).startswith("journal.jsonl line 5: anchor sample 0.0")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'"seed": 7', b'"seed": seven', "run.json line 34: JSON is malformed"),
        (b'"seed": 7', b'"seed": "7"', "run.json line 34: Expected `int`, got `str`"),
        (b'"seed"', b'"sead"', "run.json line 34: Object contains unknown field `sead`"),
        (b'"Tiny"', b'"T\xffny"', "run.json line 8: 'utf-8' codec"),
        (b"[1, 2, 4]", b"[1, 0, 4]", "run.json line 27: batch 0 is not between"),
        (b'"schema": 3,', b"", "run.json line 1: Object missing required field `schema`"),
        (b'"schema": 3', b'"schema": "1"', "run.json line 2: Expected `int`, got `str`"),
    ],
)
def test_a_damaged_manifest_is_an_error_that_names_the_line(
    folder: Path, old: bytes, new: bytes, what: str
) -> None:
    manifest = folder / "run.json"
    text = manifest.read_bytes()
    assert old in text
    manifest.write_bytes(text.replace(old, new))
    assert refusal(folder).startswith(what)


def test_a_cut_off_manifest_is_damaged_at_its_last_line(folder: Path) -> None:
    manifest = folder / "run.json"
    manifest.write_bytes(b"".join(stored_lines(manifest)[:12]))
    assert refusal(folder).startswith("run.json line 12: Input data was truncated")


def test_an_empty_or_deeply_nested_manifest_is_damaged(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"")
    assert refusal(folder).startswith("run.json line 1: ")
    (folder / "run.json").write_bytes(b'{"schema": 3, "name": ' + b"[" * 100_000)
    assert refusal(folder).startswith("run.json line 1: ")


@pytest.mark.parametrize("name", ["cells.jsonl", "journal.jsonl"])
def test_a_missing_file_of_a_run_is_damage_and_is_not_made_anew(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder) == f"{name} is missing; restore it from a copy of the run"
    with pytest.raises(DamagedRunError, match="is missing"):
        reopen(folder)
    assert not (folder / name).exists()


def test_a_damaged_run_is_not_reopened_and_stays_unlocked(folder: Path) -> None:
    cells = folder / "cells.jsonl"
    whole = cells.read_bytes()
    cells.write_bytes(b"x\n" + whole[:-9])
    with pytest.raises(DamagedRunError, match="line 1"):
        reopen(folder)
    assert cells.read_bytes() == b"x\n" + whole[:-9]
    cells.write_bytes(whole)
    reopen(folder)[1].close()


@pytest.mark.parametrize("act", [load, reopen])
def test_a_missing_folder_is_named_with_the_closest_run(
    folder: Path, act: Callable[[Path], object]
) -> None:
    wrong = folder.with_name("tiny-20260101-120001")
    with pytest.raises(RunError) as caught:
        act(wrong)
    assert str(caught.value) == f"run {wrong} does not exist; did you mean {folder}?"


def test_a_folder_that_is_no_run_is_named_with_the_run_in_or_above_it(folder: Path) -> None:
    with pytest.raises(RunError) as caught:
        load(folder.parent)
    assert str(caught.value) == (
        f"run {folder.parent} has no run.json, so it is not a run folder; did you mean {folder}?"
    )
    with pytest.raises(RunError) as caught:
        load(folder / "cells.jsonl")
    assert str(caught.value) == (
        f"run {folder / 'cells.jsonl'} is a file, not a run folder; did you mean {folder}?"
    )


def test_a_missing_folder_with_no_run_near_it_says_where_runs_come_from(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        load(tmp_path / "nowhere" / "run")
    assert str(caught.value).endswith("name a folder that a bench or an import wrote")


def test_a_newer_run_is_refused_with_both_versions(folder: Path) -> None:
    manifest = folder / "run.json"
    manifest.write_bytes(b'{"schema": 4, "unheard": {"of": 1}}')
    for act in (load, reopen):
        with pytest.raises(RunError) as caught:
            act(folder)
        assert str(caught.value) == (
            f"run {folder} was written by a newer coresplit "
            "(schema 4, this one reads up to 3); upgrade coresplit"
        )


def test_creating_over_anything_that_exists_is_refused_and_touches_nothing(
    folder: Path,
) -> None:
    file = folder.parent / "file"
    file.write_text("mine")
    dangling = folder.parent / "dangling"
    dangling.symlink_to("nowhere")
    empty = folder.parent / "empty"
    empty.mkdir()
    spaced = folder.parent / "my run"
    spaced.mkdir()
    for path, words in (
        (folder, "exists; name a new folder, or continue with"),
        (empty, "exists; name a new folder"),
        (spaced, f"exists; name a new folder, or continue with resume={spaced}"),
        (file, "is a file; name a new folder"),
        (dangling, "is a file; name a new folder"),
        (file / "run", f"cannot be created: {file} is a file; name another folder"),
        (file / "a" / "run", f"cannot be created: {file} is a file; name another folder"),
        (folder.parent / ("x" * 300), "cannot be created: file name too long"),
        (folder.parent / "new" / ("x" * 300), "cannot be created: file name too long"),
        (Path("/proc/run"), "cannot be created: no such file or directory; name a folder that can"),
    ):
        for act in (require_new, partial(create, run=RUN)):
            with pytest.raises(UsageError) as caught:
                act(path)
            assert str(caught.value).startswith(f"{path} {words}")
    assert load(folder) == FULL
    assert file.read_text() == "mine"
    assert sorted(each.name for each in folder.parent.iterdir()) == [
        "dangling",
        "empty",
        "file",
        "my run",
        folder.name,
    ]


def test_asking_whether_a_folder_can_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    require_new(tmp_path / "runs" / "run")
    require_new(tmp_path / "a" / "b" / "run")
    assert [each.name for each in tmp_path.rglob("*")] == ["runs"]


def test_a_run_that_cannot_be_stored_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(RUN.settings, batches=(0,))
    with pytest.raises(ValueError, match="batch 0 is not between"):
        create(tmp_path / "a" / "run", msgspec.structs.replace(RUN, settings=settings))
    with pytest.raises(ValueError, match="does not go with"):
        bad = msgspec.structs.replace(SKIPPED, verdict="measured")
        create(tmp_path / "a" / "run", msgspec.structs.replace(RUN, measurements=(ESTIMATED, bad)))
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_not_stored(tmp_path: Path) -> None:
    save(tmp_path / "run", msgspec.structs.replace(FULL, warnings=("torn",)))
    assert load(tmp_path / "run") == FULL


def test_a_run_of_5000_cells_is_loaded_whole(tmp_path: Path) -> None:
    samples = tuple(0.1 + index * 1e-4 for index in range(100))
    cells = tuple(
        measured(threads, batch, *samples) for threads in range(1, 51) for batch in range(1, 101)
    )
    save(tmp_path / "run", msgspec.structs.replace(RUN, measurements=cells))
    assert load(tmp_path / "run").measurements == cells


def test_a_copied_folder_is_the_same_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert load(tmp_path / "copy") == FULL


def test_what_disturbed_a_visit_is_kept(tmp_path: Path) -> None:
    signs = Signs(wall_s=0.5, waited_s=0.25, core=1, switches=90, clock_hz=3e9)
    first = MEASUREMENTS[0]
    told = msgspec.structs.replace(
        first, visits=tuple(msgspec.structs.replace(each, signs=signs) for each in first.visits)
    )
    entry = Disturbed(
        at=1767268801.0,
        cell=first.cell,
        cause="process",
        cpu=1,
        share=0.5,
        reason="another process held 50 % of core 1",
        by="loop (process 7)",
    )
    run = msgspec.structs.replace(RUN, measurements=(told,), journal=(entry,))
    save(tmp_path / "run", run)
    assert load(tmp_path / "run") == run
