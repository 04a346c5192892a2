"""Bad input gets one line that says what is wrong and what to do, exit code 2, nothing written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coresplit.machine.inspection import inspect

Coresplit = Callable[..., tuple[int, str, str]]
ABOVE = inspect().usable + 1


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bench", "no model is named"),
        ("bench incepton", "unknown model 'incepton'; did you mean 'inception'?"),
        ("bench inception --optimizations skript", "did you mean 'script'?"),
        ("bench inception --optimizations none,none", "repeats none; name each once"),
        ("bench inception --optimizations none,", "has an empty entry"),
        ("bench inception --batches ,", "batches ',' has an empty entry"),
        ("bench inception --batches 0", "0 is not positive"),
        ("bench inception --batches=-4", "-4 is not positive"),
        ("bench inception --batches 8,4", "is not ascending at 4; sort the list"),
        ("bench inception --batches 4,4", "repeats 4; name each value once"),
        ("bench inception --batches many", "'many' is not a whole number"),
        ("bench inception --threads 0", "0 is not positive"),
        ("bench inception --threads 2,1", "is not ascending at 1"),
        (f"bench inception --threads {ABOVE}", f"{ABOVE} is too many"),
        ("bench inception --mapping diagonal", "unknown mapping 'diagonal'"),
        ("bench inception --mapping interleave", "needs cores on two NUMA nodes"),
        ("bench inception --input-size 74", "size 74 is too small"),
        ("bench inception --input-size 0", "size 0 is too small"),
        ("bench inception --length 128", "is measured in pixels; give --input-size instead"),
        ("bench bert --input-size 128", "is measured in tokens; give --length instead"),
        ("bench bert --length 513", "size 513 is too large for BERT base; use 1 to 512 tokens"),
        ("bench vit_b_16 --input-size 230", "use 224 or 240"),
        ("bench bert --length 8 --input-size 8", "give one of them"),
        ("bench inception --input x=3:float32", "is built in and has fixed inputs"),
        ("bench absent.onnx", "absent.onnx"),
        ("bench absent.onnx --input x=ax3", "x=ax3"),
        ("bench absent.module:make --input x=", "x="),
        ("bench ftp:model", "no module 'ftp' found"),
        ("bench weights.safetensors", "holds weights but no network"),
        ("bench inception --allocator ptmalloc", "unknown allocator 'ptmalloc'"),
        ("bench inception --allocator default,default", "repeats default"),
        ("bench inception --input-size big", "'big' is not a valid integer"),
        ("bench inception --budget soon", "'soon' is not a duration"),
        ("bench inception --budget 0s", "'0s' is not a duration"),
        ("bench inception --precision 2", "'2' is not a share"),
        ("bench inception --weights nowhere.pth", "weights 'nowhere.pth' does not exist"),
        ("bench inception --weights .", "is a folder"),
        ("bench inception --seed -1", "seed -1 is out of range"),
        ("bench inception --colour red", "No such option '--colour'"),
        ("bench --resume nowhere", "run nowhere does not exist"),
        ("bench inception --resume nowhere", "run nowhere does not exist"),
        ("bench --resume nowhere --seed 1", "leave out --seed"),
        ("bench --resume nowhere --threads 1", "run nowhere does not exist"),
        (
            "bench inception --setting lonely",
            "unknown setting 'lonely'; choose from isolated, packed",
        ),
        ("bench inception --setting packed", "ask for --setting isolated,packed"),
        ("bench inception --batches 1 --setting isolated,packed", "no cell can be packed: two"),
        ("bench inception --inputs cold", "'cold' is not one of 'hot', 'rotate'"),
        ("bench inception --inputs hot,rotate", "is not one of 'hot', 'rotate'"),
        ("bench --resume nowhere --inputs rotate", "leave out --inputs"),
        ("report nowhere", "run nowhere does not exist"),
        ("report .", "has no run.json, so it is not a run folder"),
        ("report . --format pdf", "unknown format 'pdf'; choose from html, markdown, png, csv"),
        ("export nowhere --out csv", "run nowhere does not exist"),
        ("import nowhere.csv --out run", "nowhere.csv"),
        ("import --out run", "Missing argument"),
        ("dance", "No such command 'dance'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    coresplit: Coresplit, tmp_path: Path, arguments: str, message: str
) -> None:
    code, out, err = coresplit(*arguments.split())
    assert code == 2
    assert out == ""
    assert err.startswith("coresplit: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


EMPTY = {
    "bench inception": [
        "optimizations", "threads", "batches", "budget", "precision", "mapping", "allocator",
        "setting", "inputs", "input", "weights", "out", "resume",
    ],
    "plan nowhere": [
        "batch", "cores", "optimization", "mapping", "allocator", "setting", "slo", "budget",
        "weights",
    ],
    "report nowhere": ["format"],
    "export nowhere": ["out"],
    "import nowhere.csv --out run": ["model"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "option"), [(command, name) for command, names in EMPTY.items() for name in names]
)
@pytest.mark.parametrize("joined", [True, False])
def test_an_empty_value_is_not_taken_for_none(
    coresplit: Coresplit, tmp_path: Path, command: str, option: str, joined: bool
) -> None:
    given = [f"--{option}="] if joined else [f"--{option}", ""]
    code, out, err = coresplit(*command.split(), *given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"--{option}" in err
    assert "empty" in err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_argument_is_not_the_folder_one_is_in(coresplit: Coresplit) -> None:
    code, _, err = coresplit("report", "")
    assert (code, err.count("\n")) == (2, 1)
    assert "RUN... is empty" in err


def test_an_out_folder_that_exists_is_left_alone(coresplit: Coresplit, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, _, err = coresplit("bench", "inception", "--out", "mine")
    assert (code, err.count("\n")) == (2, 1)
    assert "mine exists; name a new folder" in err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_an_out_that_is_a_file_is_left_alone(coresplit: Coresplit, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    code, _, err = coresplit("bench", "inception", "--out", "mine")
    assert code == 2
    assert "mine is a file; name a new folder" in err
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_that_cannot_be_written_is_refused(coresplit: Coresplit, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = coresplit("bench", "inception", "--out", "locked/run")
    assert code == 2
    assert "locked/run cannot be created: Permission denied" in err


def test_an_out_below_a_kernel_folder_is_refused(coresplit: Coresplit) -> None:
    code, _, err = coresplit("bench", "inception", "--out", "/proc/run")
    assert code == 2
    assert "/proc/run cannot be created" in err


def test_a_newer_run_is_refused_by_name(coresplit: Coresplit, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("cells.jsonl", "journal.jsonl"):
        (tmp_path / "run" / name).write_text("")
    (tmp_path / "run" / "run.json").write_text('{"schema": 99}')
    code, _, err = coresplit("report", "run")
    assert code == 2
    assert "newer coresplit" in err
    assert "99" in err


def test_help_is_given_without_a_model(coresplit: Coresplit) -> None:
    code, out, err = coresplit("--help")
    assert (code, err) == (0, "")
    for command in ("bench", "report", "import", "export", "doctor", "list"):
        assert f"  {command} " in out
