"""Whatever happens to the bytes of a run or a table, the outcome is a run or one expected error."""

import math
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import JOURNAL, MEASUREMENTS, RUN

from coresplit.errors import CoresplitError, TableError
from coresplit.records import Cell, Measurement, Published, Run
from coresplit.store import export_tables, import_tables, load, save
from coresplit.store.published.columns import KNOWN_COLUMNS, milliseconds, seconds
from coresplit.store.published.writing import range_of

FULL = msgspec.structs.replace(RUN, measurements=MEASUREMENTS, journal=JOURNAL)
FILES = ("run.json", "cells.jsonl", "journal.jsonl")

latencies = st.floats(min_value=1e-6, max_value=1e5)


def folder_with(folder: Path, name: str, data: bytes) -> Path:
    for each, content in stored().items():
        (folder / each).write_bytes(data if each == name else content)
    return folder


def stored() -> dict[str, bytes]:
    if not _stored:
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder) / "run", FULL)
            _stored.update({each: (Path(folder) / "run" / each).read_bytes() for each in FILES})
    return _stored


_stored: dict[str, bytes] = {}


@pytest.mark.parametrize("name", ["cells.jsonl", "journal.jsonl"])
def test_every_prefix_of_a_line_file_loads_all_its_whole_lines(tmp_path: Path, name: str) -> None:
    data = stored()[name]
    folder_with(tmp_path, name, data)
    for size in range(len(data), -1, -1):
        os.truncate(tmp_path / name, size)
        run = load(tmp_path)
        whole = data[:size].count(b"\n")
        mid_line = size > 0 and data[size - 1 : size] != b"\n"
        if name == "cells.jsonl":
            assert run.measurements == MEASUREMENTS[:whole]
        else:
            assert run.journal == JOURNAL[:whole]
        assert len(run.warnings) == mid_line


@settings(deadline=None)
@given(
    name=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_give_a_run_or_one_expected_error(
    name: str, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(stored()[name])
    for position, value in flips:
        data[position % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert isinstance(load(folder_with(Path(folder), name, bytes(data))), Run)
        except CoresplitError as error:
            assert str(error).isprintable()


@settings(deadline=None)
@given(name=st.sampled_from(FILES), data=st.binary(max_size=200))
def test_any_bytes_give_a_run_or_one_expected_error(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert isinstance(load(folder_with(Path(folder), name, data)), Run)
        except CoresplitError as error:
            assert str(error).isprintable()


@settings(deadline=None)
@given(latency=st.floats(min_value=1e-12, max_value=1e9))
def test_a_latency_survives_the_way_through_milliseconds(latency: float) -> None:
    assert seconds(milliseconds(latency)) == latency
    assert math.isclose(float(milliseconds(latency)), latency * 1e3, rel_tol=1e-15)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    cell = draw(
        st.builds(
            Cell,
            optimization=st.sampled_from(["none", "script", "int8_dynamic"]),
            threads=st.integers(1, 512),
            batch=st.integers(1, 4096),
            mapping=st.sampled_from(["sequential", "interleave"]),
            allocator=st.sampled_from(["default", "tcmalloc"]),
        )
    )
    if draw(st.booleans()):
        samples = tuple(draw(st.lists(latencies, min_size=1, max_size=8)))
        return Measurement(cell=cell, verdict="measured", reason="", samples=samples)
    low, mean, high = sorted(draw(st.tuples(latencies, latencies, latencies)))
    published = Published(minimum=low, mean=mean, maximum=high)
    return Measurement(cell=cell, verdict="measured", reason="", published=published)


@settings(deadline=None)
@given(
    cells=st.lists(measurements(), min_size=1, max_size=12, unique_by=lambda each: each.cell),
    both=st.booleans(),
)
def test_an_exported_run_is_imported_with_the_same_numbers(
    cells: list[Measurement], both: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = export_tables(
            msgspec.structs.replace(RUN, measurements=tuple(cells)), Path(folder)
        )
        run = import_tables(tables if both else tables[:1], created_at=1.0)
    assert [(each.cell, each.published) for each in run.measurements] == [
        (each.cell, range_of(each)) for each in cells
    ]


words = st.one_of(
    st.sampled_from([*KNOWN_COLUMNS, "tiny_manual_none", "sequential", "torch", "1", "2.5", "-1"]),
    st.text(max_size=6),
    st.floats().map(repr),
    st.integers().map(str),
)
lines = st.lists(st.lists(words, max_size=8).map(",".join), max_size=6).map("\n".join)


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
        lines.map(lambda text: text.encode("utf-8", "replace")),
        lines.map(
            lambda text: (
                "benchmark,intraop_threads,batch_size,latency(min),latency(avg),latency(max)\n"
                f"{text}"
            ).encode("utf-8", "replace")
        ),
        st.tuples(*[words] * 4).map(
            lambda row: (
                "intraop_threads,benchmark,batch_size,throughput\n1,a_manual_b," + ",".join(row[:2])
            ).encode("utf-8", "replace")
        ),
    )
)
def test_any_text_gives_a_run_that_can_be_saved_or_a_table_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        file.write_bytes(content)
        try:
            run = import_tables([file], created_at=1.0)
        except TableError as error:
            assert str(error).isprintable()
        else:
            save(Path(folder) / "run", run)
            assert load(Path(folder) / "run").measurements == run.measurements
