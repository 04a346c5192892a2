"""What the small commands print, and the tables they trade."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coresplit import store
from coresplit.cache import Cache
from coresplit.cli.commands.doctor import warnings_of
from coresplit.machine.allocators import ALLOCATORS
from coresplit.machine.doctor.checks import Advice
from coresplit.machine.inspection import inspect
from coresplit.models import MODELS, sources
from coresplit.optimizations import OPTIMIZATIONS, registry

Coresplit = Callable[..., tuple[int, str, str]]
HEAD = (
    "benchmark,topology,pinning,source,allocator,instance_id,interop_threads,"
    "intraop_threads,batch_size,latency(min),latency(avg),latency(max),flops"
)
TABLE = "\n".join(
    [HEAD]
    + [
        f"inception_manual_{name},sequential,numactl,torch,default,1,1,{t},{b},"
        f"{9.0 * b / t},{10.0 * b / t},{12.0 * b / t},0.0"
        for name in ("none", "script")
        for t in (1, 2)
        for b in (1, 2)
    ]
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "latency.csv"
    file.write_text(TABLE + "\n")
    return file


def test_doctor_json_keeps_its_keys(coresplit: Coresplit) -> None:
    code, out, err = coresplit("doctor", "--json")
    document = json.loads(out)
    machine = inspect()
    assert (code, err) == (0, "")
    assert document["usable_cores"] == list(machine.usable_cores)
    assert document["quota_cores"] == machine.quota_cores
    assert all({"what", "remedy"} <= set(one) for one in document["advice"])


def test_bench_begins_with_at_most_three_warnings_of_doctor_and_where_to_read_on() -> None:
    advice = [
        Advice(
            what=f"cause {number}: and much more of it",
            remedy="do this",
            severity="warning" if number < 5 else "note",
        )
        for number in range(6)
    ]
    shown = warnings_of(advice)
    assert shown[:3] == ["cause 0", "cause 1", "cause 2"]
    assert len(shown) == 4
    assert "2 more" in shown[3]
    assert "coresplit doctor" in shown[3]
    assert len(warnings_of(advice[:1])) == 2
    assert warnings_of(advice[5:]) == []


def test_doctor_names_the_processor_and_every_advice(coresplit: Coresplit) -> None:
    code, out, _ = coresplit("doctor")
    _, as_json, _ = coresplit("doctor", "--json")
    assert code == 0
    assert inspect().cpu_model in out
    for one in json.loads(as_json)["advice"]:
        if "load" not in one["what"]:
            assert one["remedy"] in out


def test_list_names_models_and_optimizations(coresplit: Coresplit) -> None:
    code, out, _ = coresplit("list")
    assert code == 0
    for name in ("inception", "none", "script"):
        assert f"  {name} " in out


def test_list_json_says_what_is_missing(coresplit: Coresplit) -> None:
    _, out, _ = coresplit("list", "--json")
    document = json.loads(out)
    assert [each["name"] for each in document["models"]] == list(MODELS)
    assert {each["name"]: each["lossy"] for each in document["optimizations"]} == {
        name: name in ("bf16", "int8") for name in OPTIMIZATIONS
    }
    assert [each["name"] for each in document["allocators"]] == list(ALLOCATORS)
    assert all(each["missing"] is None for each in document["models"])


def test_list_says_how_to_install_what_is_missing(
    coresplit: Coresplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", absent("openvino"))
    monkeypatch.setattr(sources, "find_spec", absent("transformers"))
    _, out, _ = coresplit("list")
    assert "not usable: openvino needs openvino: pip install 'coresplit[openvino]'" in out
    assert "not usable: bert needs transformers: pip install 'coresplit[transformers]'" in out


def two_kibibytes(folder: Path) -> None:
    (folder / "model").write_bytes(bytes(2048))


def absent(name: str) -> Callable[[str], object]:
    return lambda package: None if package == name else object()


def test_the_cache_is_shown_and_cleared(coresplit: Coresplit, own_cache: Path) -> None:
    other = own_cache / "for-the-command"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORESPLIT_CACHE", str(other))
        Cache().get("onnx", {"identity": "abc"}, two_kibibytes)
        code, out, _ = coresplit("cache")
        assert code == 0
        assert "onnx" in out and "abc" in out
        assert f"1 entry, 2.12 KiB, in {other}" in out
        _, out, _ = coresplit("cache", "--json")
        assert [each["kind"] for each in json.loads(out)["entries"]] == ["onnx"]
        assert coresplit("cache", "--clear")[0] == 0
        assert Cache().entries() == []


def test_imported_tables_are_exported_with_the_same_numbers(
    coresplit: Coresplit, table: Path, tmp_path: Path
) -> None:
    code, out, err = coresplit("import", table, "--out", tmp_path / "run", "--no-report")
    assert (code, out) == (0, f"{tmp_path / 'run'}\n")
    assert f"imported 8 cells into {tmp_path / 'run'}" in err
    code, out, _ = coresplit("export", tmp_path / "run", "--out", tmp_path / "csv")
    assert code == 0
    exported = Path(out.splitlines()[0])
    again = store.import_tables([exported], created_at=0.0)
    before = store.import_tables([table], created_at=0.0)
    assert again.measurements == before.measurements


def test_import_builds_the_pages_of_the_published_run(
    coresplit: Coresplit, table: Path, tmp_path: Path
) -> None:
    code, out, _ = coresplit("import", table, "--out", tmp_path / "run")
    page = Path(out.strip())
    assert code == 0
    assert page == tmp_path / "run" / "report" / "index.html"
    names = {path.name for path in page.parent.iterdir()}
    assert {"index.html", "index.markdown", "inception-latency-2.png"} <= names
    assert {"inception_latency.csv", "inception_throughput.csv"} <= names


def test_report_rebuilds_only_the_formats_asked_for(
    coresplit: Coresplit, table: Path, tmp_path: Path
) -> None:
    coresplit("import", table, "--out", tmp_path / "run", "--no-report")
    code, _, _ = coresplit("report", tmp_path / "run", "--format", "csv")
    assert code == 0
    assert {path.name for path in (tmp_path / "run" / "report").iterdir()} == {
        "inception_latency.csv",
        "inception_throughput.csv",
    }


def test_a_torn_last_line_is_warned_of_and_the_rest_reported(
    coresplit: Coresplit, table: Path, tmp_path: Path
) -> None:
    coresplit("import", table, "--out", tmp_path / "run", "--no-report")
    cells = tmp_path / "run" / "cells.jsonl"
    cells.write_bytes(cells.read_bytes()[:-20])
    code, _, err = coresplit("report", tmp_path / "run", "--format", "csv")
    assert code == 0
    assert "warning: " in err
    assert "cells.jsonl" in err


def test_damage_elsewhere_names_file_and_line(
    coresplit: Coresplit, table: Path, tmp_path: Path
) -> None:
    coresplit("import", table, "--out", tmp_path / "run", "--no-report")
    cells = tmp_path / "run" / "cells.jsonl"
    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join([*lines[:2], "{broken}\n", *lines[3:]]))
    code, _, err = coresplit("report", tmp_path / "run")
    assert code == 2
    assert f"{cells} line 3" in err
