"""Runs of older schema versions load, exactly."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store_samples import JOURNAL, MEASUREMENTS, RUN

from coresplit.errors import DamagedRunError, RunError
from coresplit.records import SCHEMA, ModelInput, Peak, Prepared
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
            products={"float32": 1.5e11, "bfloat16": 3e11},
            copy_bytes=2e10,
        ),
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
