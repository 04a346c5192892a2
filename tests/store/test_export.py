"""Runs become published tables, and importing those gives the same numbers."""

import csv
from pathlib import Path

import msgspec
import pytest
from store_samples import ESTIMATED, FAILED, MEASUREMENTS, RUN, SKIPPED, measured

from coresplit.errors import RunError, UsageError
from coresplit.records import Cell, Measurement, Published, Run
from coresplit.store import export_tables, import_tables, left_out
from coresplit.store.published.writing import range_of

FIXTURES = Path(__file__).parent / "fixtures"
PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "published"
HEAD = (
    "benchmark,topology,pinning,source,allocator,instance_id,interop_threads,"
    "intraop_threads,batch_size,"
)


def holding(*measurements: Measurement) -> Run:
    return msgspec.structs.replace(RUN, measurements=measurements)


def values_by_cell(run: Run) -> dict[Cell, Published | None]:
    return {each.cell: each.published for each in run.measurements}


def test_tables_hold_minimum_mean_and_maximum_of_the_samples(tmp_path: Path) -> None:
    tcmalloc = Cell(
        optimization="script", threads=2, batch=8, mapping="interleave", allocator="tcmalloc"
    )
    run = holding(
        measured(1, 1, 0.1, 0.2, 0.15),
        msgspec.structs.replace(measured(1, 1, 0.5, 0.25), cell=tcmalloc, verdict="light"),
    )
    latency, throughput = export_tables(run, tmp_path / "new" / "out")
    assert latency == tmp_path / "new" / "out" / "tiny_latency.csv"
    assert latency.read_text() == (
        f"{HEAD}latency(min),latency(avg),latency(max),flops\n"
        "tiny_manual_none,sequential,affinity,torch,default,1,1,1,1,100,150,200,0.0\n"
        "tiny_manual_script,interleave,affinity,torch,tcmalloc,1,1,2,8,250,375,500,0.0\n"
    )
    assert throughput == tmp_path / "new" / "out" / "tiny_throughput.csv"
    assert throughput.read_text() == (
        f"{HEAD}throughput\n"
        "tiny_manual_none,sequential,affinity,torch,default,1,1,1,1,6.666666666666667\n"
        "tiny_manual_script,interleave,affinity,torch,tcmalloc,1,1,2,8,21.333333333333332\n"
    )


def test_cells_that_the_columns_cannot_mark_are_left_out_and_counted(tmp_path: Path) -> None:
    invalid = msgspec.structs.replace(measured(2, 2), verdict="invalid")
    unstable = msgspec.structs.replace(measured(2, 4), verdict="unstable")
    cell = Cell(optimization="none", threads=1, batch=1, setting="packed")
    packed = msgspec.structs.replace(measured(1, 1), cell=cell)
    run = holding(measured(1, 1), ESTIMATED, SKIPPED, FAILED, invalid, unstable, packed)
    latency, throughput = export_tables(run, tmp_path)
    for file in (latency, throughput):
        rows = list(csv.DictReader(file.read_text().splitlines()))
        assert [(row["intraop_threads"], row["batch_size"]) for row in rows] == [
            ("1", "1"),
            ("2", "4"),
        ]
    assert left_out(run) == {
        "estimated": 1,
        "skipped": 1,
        "failed": 1,
        "invalid": 1,
        "packed": 1,
    }


def test_existing_tables_are_kept_unless_overwriting_is_asked(tmp_path: Path) -> None:
    (tmp_path / "tiny_throughput.csv").write_text("mine")
    run = holding(*MEASUREMENTS)
    with pytest.raises(UsageError) as caught:
        export_tables(run, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'tiny_throughput.csv'} exists; remove it or name another folder"
    )
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [
        ("tiny_throughput.csv", "mine")
    ]
    export_tables(run, tmp_path, overwrite=True)
    assert (tmp_path / "tiny_throughput.csv").read_text().startswith("benchmark,")
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "tiny_latency.csv",
        "tiny_throughput.csv",
    ]


def test_a_run_without_measured_cells_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no measured cells to export"):
        export_tables(holding(ESTIMATED, SKIPPED), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_exporting_under_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "out"):
        with pytest.raises(UsageError) as caught:
            export_tables(holding(*MEASUREMENTS), out)
        assert str(caught.value) == f"{out} is a file or is inside one; name a folder"
    assert file.read_text() == "mine"


def test_a_model_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    model = msgspec.structs.replace(RUN.model, name="../../etc/my model")
    run = msgspec.structs.replace(holding(*MEASUREMENTS), model=model)
    latency, _ = export_tables(run, tmp_path / "out")
    assert latency == tmp_path / "out" / "etc-my-model_latency.csv"


def test_the_mean_of_equal_samples_stays_within_their_range() -> None:
    for number in range(1, 200):
        found = range_of(measured(1, 1, *[0.1] * number))
        assert found == Published(minimum=0.1, mean=0.1, maximum=0.1)


def test_published_tables_come_back_with_the_same_numbers(tmp_path: Path) -> None:
    run = import_tables(
        [FIXTURES / "tiny_latency.csv", FIXTURES / "tiny_throughput.csv"], created_at=1.0
    )
    latency, throughput = export_tables(run, tmp_path)
    for file in (latency, throughput):
        written, published = (
            list(csv.DictReader((folder / file.name).read_text().splitlines()))
            for folder in (tmp_path, FIXTURES)
        )
        for ours, theirs in zip(written, published, strict=True):
            for column in (*[each for each in theirs if each[:7] in ("latency", "through")],):
                assert float(ours[column]) == float(theirs[column])
            for column in HEAD.rstrip(",").split(","):
                assert ours[column] == ("affinity" if column == "pinning" else theirs[column])
    again = import_tables([latency, throughput], created_at=1.0)
    assert values_by_cell(again) == values_by_cell(run)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables are not beside the tree")
@pytest.mark.parametrize("kind", ["latency", "throughput"])
@pytest.mark.parametrize("model", ["inception", "resnet"])
def test_the_published_grid_comes_back_to_the_last_digit(
    tmp_path: Path, model: str, kind: str
) -> None:
    stem = f"{model}-xeon6142-16c-isolated"
    run = import_tables(
        [PUBLISHED / f"{stem}-latency.csv", PUBLISHED / f"{stem}-throughput.csv"], created_at=1.0
    )
    assert len(run.measurements) == 528
    tables = export_tables(run, tmp_path)
    assert values_by_cell(import_tables(tables, created_at=1.0)) == values_by_cell(run)
    ours = csv.DictReader((tmp_path / f"{model}_{kind}.csv").read_text().splitlines())
    theirs = csv.DictReader((PUBLISHED / f"{stem}-{kind}.csv").read_text().splitlines())
    columns = ["latency(min)", "latency(avg)", "latency(max)"]
    for mine, published in zip(ours, theirs, strict=True):
        for column in columns if kind == "latency" else ["throughput"]:
            assert float(mine[column]) == pytest.approx(float(published[column]), rel=5e-16, abs=0)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables are not beside the tree")
def test_all_published_tables_are_imported_or_refused_for_what_they_hold() -> None:
    cells = {}
    for file in sorted(PUBLISHED.glob("*-latency.csv")):
        if "together" in file.name:
            continue
        cells[file.name] = len(import_tables([file], created_at=1.0).measurements)
    assert cells == {
        "inception-skylake2x-18c-oldcolumns-latency.csv": 144,
        "inception-xeon6142-16c-isolated-latency.csv": 528,
        "inception-xeon6142-16c-tcmalloc-latency.csv": 176,
        "resnet-xeon6142-16c-isolated-latency.csv": 528,
    }
