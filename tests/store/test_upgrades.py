"""Runs of older schema versions load, exactly."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store_samples import JOURNAL, MEASUREMENTS, RUN

from coresplit.errors import DamagedRunError, RunError
from coresplit.records import SCHEMA, ModelInput, Peak, Prepared, Visit
from coresplit.store import UPGRADERS, load, reopen

EXAMPLES = Path(__file__).parent / "examples"
FULL = msgspec.structs.replace(RUN, measurements=MEASUREMENTS, journal=JOURNAL)
CURRENT = msgspec.structs.replace(
    FULL,
    model=msgspec.structs.replace(
        FULL.model,
        source="./tiny.onnx",
        flops=2_000_000,
        inputs=(
            *FULL.model.inputs,
            ModelInput(name="ids", shape=(8,), dtype="int64", low=0, high=9),
        ),
    ),
    journal=(
        *JOURNAL,
        Prepared(
            at=1767268901.0,
            optimization="int8",
            threads=2,
            mapping="interleave",
            allocator="glibc_tuned",
            start_s=1.5,
            prepare_s=2.5,
            error=0.25,
            agreement=0.75,
            compared=256,
            largest_tensor=65536,
            facts={"precision": "int8", "lossy": "yes"},
        ),
        Peak(
            at=1767268902.0,
            threads=2,
            matmul_flops={"float32": 1.5e11, "bfloat16": 3e11},
            memory_bandwidth=2e10,
        ),
    ),
)


TOLD = msgspec.structs.replace(
    CURRENT,
    settings=msgspec.structs.replace(CURRENT.settings, inputs="rotate"),
    measurements=(
        msgspec.structs.replace(
            MEASUREMENTS[0],
            warmup=(0.2, 0.11),
            visits=(
                Visit(samples=2, warmup=1, at=1767268800.5, block=0),
                Visit(samples=1, warmup=1, at=1767268850.5, block=7, process=1),
            ),
        ),
        *MEASUREMENTS[1:],
    ),
)


def aged(path: Path, schema: int) -> Path:
    """A run folder of the made-up version 0 or -1: cells say `cores` in place of `threads`."""
    shutil.copytree(EXAMPLES / "v1", path)
    manifest = json.loads((path / "run.json").read_text())
    manifest["schema"] = schema
    manifest["label" if schema == 0 else "title"] = manifest.pop("name")
    (path / "run.json").write_text(json.dumps(manifest))
    lines = (path / "cells.jsonl").read_text()
    cells = [json.loads(line) for line in lines.splitlines()]
    for cell in cells:
        cell["cell"]["cores"] = cell["cell"].pop("threads")
    (path / "cells.jsonl").write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    return path


def from_minus_one(document: dict[str, Any]) -> dict[str, Any]:
    run = dict(document["run"])
    run["label"] = run.pop("title")
    return {**document, "run": run}


def from_zero(document: dict[str, Any]) -> dict[str, Any]:
    assert document["run"]["schema"] == 0
    run = dict(document["run"])
    run["name"] = run.pop("label")
    for line in document["cells"]:
        line["cell"]["threads"] = line["cell"].pop("cores")
    return {**document, "run": run}


def test_every_version_has_an_example_and_each_older_one_an_upgrader() -> None:
    assert [(EXAMPLES / f"v{version}").is_dir() for version in range(1, SCHEMA + 1)] == [
        True
    ] * SCHEMA
    assert sorted(UPGRADERS) == list(range(1, SCHEMA))


def test_the_example_of_version_1_loads_exactly() -> None:
    assert load(EXAMPLES / "v1") == FULL


def test_the_example_of_version_2_loads_exactly() -> None:
    assert load(EXAMPLES / "v2") == CURRENT


def test_the_example_of_version_3_loads_exactly() -> None:
    assert load(EXAMPLES / "v3") == TOLD


def of_version_2(path: Path, *lines: dict[str, Any]) -> Path:
    """A run folder of version 2 whose cells are these lines, told by what differs."""
    shutil.copytree(EXAMPLES / "v2", path)
    first = json.loads((path / "cells.jsonl").read_text().splitlines()[0])
    cells = "".join(json.dumps({**first, **line}) + "\n" for line in lines)
    (path / "cells.jsonl").write_text(cells)
    return path


def test_what_each_line_adds_to_the_last_one_was_a_visit(tmp_path: Path) -> None:
    path = of_version_2(
        tmp_path / "run",
        {"samples": [0.1, 0.2, 0.3], "warmup": []},
        {"samples": [0.1, 0.2, 0.3, 0.4, 0.5], "warmup": [0.9]},
        {"samples": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "warmup": [0.9]},
    )
    (found,) = load(path).measurements
    assert found.by_visit == ((0.2, 0.3), (0.4, 0.5), (0.6,))
    assert [visit.warmup for visit in found.visits] == [1, 1, 0]
    assert found.warmup == (0.1, 0.9)


def test_slow_forwards_that_were_left_out_by_their_value_are_samples_again(tmp_path: Path) -> None:
    path = of_version_2(tmp_path / "run", {"samples": [0.1, 0.1], "warmup": [0.9, 0.8, 0.7]})
    (found,) = load(path).measurements
    assert found.samples == (0.8, 0.7, 0.1, 0.1)
    assert found.warmup == (0.9,)


def test_samples_that_do_not_go_on_from_the_last_line_begin_anew(tmp_path: Path) -> None:
    path = of_version_2(
        tmp_path / "run",
        {"samples": [0.1, 0.2], "warmup": []},
        {"samples": [0.5, 0.6, 0.7], "warmup": []},
    )
    (found,) = load(path).measurements
    assert found.by_visit == ((0.6, 0.7),)


def test_copies_stay_in_step_with_the_samples_or_are_left_out(tmp_path: Path) -> None:
    kept = of_version_2(
        tmp_path / "kept",
        {"samples": [0.1, 0.2], "warmup": [0.3], "copies": [[0.1, 0.1], [0.2, 0.1]]},
    )
    assert load(kept).measurements[0].copies == ((0.1, 0.1), (0.2, 0.1))
    lost = of_version_2(
        tmp_path / "lost",
        {"samples": [0.1, 0.2], "warmup": [0.4, 0.3], "copies": [[0.1, 0.1], [0.2, 0.1]]},
    )
    assert load(lost).measurements[0].copies == ()


def test_upgraders_are_applied_in_sequence(tmp_path: Path) -> None:
    upgraders = {**UPGRADERS, -1: from_minus_one, 0: from_zero}
    assert load(aged(tmp_path / "older", 0), upgraders=upgraders) == FULL
    assert load(aged(tmp_path / "oldest", -1), upgraders=upgraders) == FULL


def test_a_version_without_an_upgrader_is_refused_by_name(tmp_path: Path) -> None:
    path = aged(tmp_path / "run", -1)
    with pytest.raises(RunError) as caught:
        load(path, upgraders={-1: from_minus_one})
    assert str(caught.value) == (
        f"run {path} has schema 0, which this coresplit cannot read; use the version that wrote it"
    )


def test_damage_in_an_older_run_names_file_and_line(tmp_path: Path) -> None:
    path = aged(tmp_path / "run", 0)
    lines = (path / "cells.jsonl").read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace('"measured"', '"guessed"')
    (path / "cells.jsonl").write_text("".join(lines))
    with pytest.raises(DamagedRunError, match=r"cells.jsonl line 2: Invalid enum value 'guessed'"):
        load(path, upgraders={**UPGRADERS, 0: from_zero})
    lines[1] = "nonsense\n"
    (path / "cells.jsonl").write_text("".join(lines))
    with pytest.raises(DamagedRunError, match=r"cells.jsonl line 2: JSON is malformed"):
        load(path, upgraders={**UPGRADERS, 0: from_zero})
    lines[1] = "{}\n"
    (path / "cells.jsonl").write_text("".join(lines))
    with pytest.raises(DamagedRunError, match=r"run.json line 1: 'cell'"):
        load(path, upgraders={**UPGRADERS, 0: from_zero})


def test_an_older_run_is_read_but_not_resumed(tmp_path: Path) -> None:
    path = aged(tmp_path / "run", 0)
    with pytest.raises(RunError, match="it can be read but not resumed"):
        reopen(path)
