"""Published tables become runs, or are refused in one line that names file and line."""

from pathlib import Path

import pytest

from coresplit.errors import TableError, UsageError
from coresplit.records import Cell, Measurement, ModelInfo, Published, Run, Settings
from coresplit.store import import_tables, load, save

FIXTURES = Path(__file__).parent / "fixtures"
LATENCY = FIXTURES / "tiny_latency.csv"
THROUGHPUT = FIXTURES / "tiny_throughput.csv"
HEAD = "benchmark,intraop_threads,batch_size,latency(min),latency(avg),latency(max)\n"
ROW = "tiny_manual_none,1,1,1.0,2.0,3.0\n"


def imported(*paths: Path, name: str | None = None) -> Run:
    return import_tables(paths, name, created_at=5.0)


def refusal(tmp_path: Path, text: str | bytes, *others: Path) -> str:
    file = tmp_path / "table.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(TableError) as caught:
        imported(*others, file)
    assert str(caught.value).isprintable()
    return str(caught.value).replace(str(file), "table.csv")


def cell(optimization: str, threads: int, batch: int) -> Cell:
    return Cell(optimization=optimization, threads=threads, batch=batch)


def test_a_latency_table_becomes_a_run_in_seconds() -> None:
    published = (
        (cell("none", 1, 1), Published(minimum=0.0105, mean=0.01125, maximum=0.012)),
        (cell("none", 2, 1), Published(minimum=0.006125, mean=0.0065, maximum=0.007)),
        (cell("script", 1, 8), Published(minimum=0.0613, mean=0.064, maximum=0.0709)),
        (
            Cell(
                optimization="script",
                threads=2,
                batch=8,
                mapping="interleave",
                allocator="tcmalloc",
            ),
            Published(minimum=0.03325, mean=0.0357, maximum=0.036),
        ),
    )
    assert imported(LATENCY) == Run(
        name="tiny-published",
        created_at=5.0,
        model=ModelInfo(name="tiny", title="tiny"),
        settings=Settings(
            optimizations=("none", "script"),
            threads=(1, 2),
            batches=(1, 8),
            mappings=("sequential", "interleave"),
            allocators=("default", "tcmalloc"),
        ),
        machine=None,
        software={},
        measurements=tuple(
            Measurement(
                cell=each,
                verdict="measured",
                reason="published: mean of the range from minimum to maximum",
                published=values,
            )
            for each, values in published
        ),
    )


def test_an_imported_run_can_be_saved_and_loaded(tmp_path: Path) -> None:
    save(tmp_path / "run", imported(LATENCY))
    assert load(tmp_path / "run") == imported(LATENCY)


def test_an_older_table_takes_the_defaults_and_says_so() -> None:
    file = FIXTURES / "tiny_oldcolumns_latency.csv"
    run = imported(file)
    assert [(each.cell, each.published) for each in run.measurements] == [
        (cell("none", 1, 1), Published(minimum=0.02, mean=0.0215, maximum=0.02275)),
        (cell("none", 2, 1), Published(minimum=0.011, mean=0.0115, maximum=0.03)),
    ]
    assert run.warnings == (
        f"{file} lacks columns, so these are assumed: topology sequential, pinning unknown, "
        "source torch, allocator default, instance_id 1",
    )


def test_a_throughput_table_that_agrees_adds_nothing_but_a_note() -> None:
    for paths in ((LATENCY, THROUGHPUT), (THROUGHPUT, LATENCY)):
        run = imported(*paths)
        assert run.measurements == imported(LATENCY).measurements
        assert run.warnings == (
            f"{THROUGHPUT}: 4 throughputs agree with the latencies and add nothing",
        )


def test_a_throughput_table_alone_gives_latencies_without_a_range() -> None:
    run = imported(THROUGHPUT)
    assert run.measurements[2] == Measurement(
        cell=cell("script", 1, 8),
        verdict="measured",
        reason="published: from the mean throughput; no range is stated",
        published=Published(minimum=0.064, mean=0.064, maximum=0.064),
    )
    assert [each.cell for each in run.measurements] == [
        each.cell for each in imported(LATENCY).measurements
    ]


def test_a_throughput_that_contradicts_the_latency_names_both_lines(tmp_path: Path) -> None:
    text = "benchmark,intraop_threads,batch_size,throughput\ntiny_manual_none,1,1,100.0\n"
    assert refusal(tmp_path, text, LATENCY) == (
        f"table.csv line 2: throughput 100 contradicts the latency of {LATENCY} line 2, which "
        "gives 88.8889; import tables of the same measurement"
    )


def test_a_table_may_hold_latency_and_throughput_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "both.csv"
    file.write_text(HEAD.rstrip() + ",throughput\n" + ROW.rstrip() + ",500.0\n")
    assert imported(file).measurements[0].published == Published(
        minimum=0.001, mean=0.002, maximum=0.003
    )


def test_titles_of_the_published_models_are_known(tmp_path: Path) -> None:
    for name, title in (("inception", "Inception"), ("resnet", "ResNet-50"), ("mine", "mine")):
        file = tmp_path / f"{name}.csv"
        file.write_text(HEAD + ROW.replace("tiny", name))
        assert imported(file).model == ModelInfo(name=name, title=title)


def test_a_given_name_replaces_the_one_in_the_table() -> None:
    run = imported(LATENCY, name="resnet50")
    assert (run.name, run.model.title) == ("resnet50-published", "ResNet-50")
    with pytest.raises(UsageError, match=r"model name '\.\./x' may contain only letters"):
        imported(LATENCY, name="../x")


def test_importing_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="name at least one CSV file"):
        imported()


def test_a_byte_order_mark_blank_lines_spaces_and_quotes_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    row = '"tiny_manual_none", 1 ,1,"1.0",2e0,+3.\r\n'
    file.write_bytes(("\ufeff" + HEAD.replace("\n", "\r\n") + "\r\n" + row + "\r\n").encode())
    assert imported(file).measurements[0].published == Published(
        minimum=0.001, mean=0.002, maximum=0.003
    )


def test_a_minimum_above_the_mean_by_rounding_only_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "rounded.csv"
    file.write_text(HEAD + "tiny_manual_none,1,1,2.0000000000000004,2.0,2.0\n")
    assert imported(file).measurements[0].published == Published(
        minimum=0.0020000000000000004, mean=0.002, maximum=0.002
    )


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("tiny_manual_none,one,1,1,2,3", "intraop_threads 'one' is not a whole number"),
        ("tiny_manual_none,1.5,1,1,2,3", "intraop_threads '1.5' is not a whole number"),
        ("tiny_manual_none,0,1,1,2,3", "intraop_threads '0' is not between 1 and"),
        ("tiny_manual_none,1,-8,1,2,3", "batch_size '-8' is not between 1 and"),
        ("tiny_manual_none,1,9999999999,1,2,3", "batch_size '9999999999' is not between 1 and"),
        ("tiny_manual_none,1,,1,2,3", "batch_size '' is not a whole number"),
        ("tiny_manual_none,1,1,fast,2,3", "latency(min) 'fast' is not a finite number"),
        ("tiny_manual_none,1,1,1_0,20,30", "latency(min) '1_0' is not a finite number"),
        ("tiny_manual_none,1,1,١,20,30", "latency(min) '١' is not a finite number"),
        ("tiny_manual_none,1,1,1,nan,3", "latency(avg) 'nan' is not a finite number"),
        ("tiny_manual_none,1,1,1,2,inf", "latency(max) 'inf' is not a finite number"),
        ("tiny_manual_none,1,1,1,2,1e999", "latency(max) '1e999' is not a finite number"),
        ("tiny_manual_none,1,1,0,2,3", "latency(min) '0' is not a latency in milliseconds above 0"),
        ("tiny_manual_none,1,1,-1,2,3", "latency(min) '-1' is not a latency in milliseconds"),
        ("tiny_manual_none,1,1,1,2,1e99", "latency(max) '1e99' is not a latency in milliseconds"),
        ("tiny_manual_none,1,1,2.1,2,3", "latency min <= avg <= max fails: 2.1 <= 2 <= 3"),
        ("tiny_manual_none,1,1,1,2,1.9", "latency min <= avg <= max fails: 1 <= 2 <= 1.9"),
        ("tiny_manual_none,1,1,1,2", "5 values for 6 columns"),
        ("tiny_manual_none,1,1,1,2,3,4", "7 values for 6 columns"),
        ("tiny,1,1,1,2,3", "benchmark 'tiny' is not of the form MODEL_manual_OPTIMIZATION"),
        ("../x_manual_none,1,1,1,2,3", "benchmark '../x_manual_none' is not of the form"),
        ('"a\nb",1,1,1,2,3', "benchmark 'a\\nb' is not of the form"),
        ("x" * 60 + ",1,1,1,2,3", f"benchmark '{'x' * 40}'... is not of the form"),
        ('"tiny_manual_none"x,1,1,1,2,3', "not CSV: ',' expected after '\"'"),
        ('"tiny_manual_none,1,1,1,2,3', "not CSV: unexpected end of data"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, row: str, what: str) -> None:
    line = 4 if "\n" in row else 3
    text = refusal(tmp_path, HEAD + ROW + row + "\n")
    assert text.startswith(f"table.csv line {line}: {what}")


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("topology", "spiral", "unknown topology 'spiral'; use sequential or interleave"),
        ("source", "onnx", "unknown source 'onnx'; use torch"),
        ("allocator", "", "allocator '' is not a name"),
        ("instance_id", "-1", "instance_id '-1' is not between 1 and"),
        ("instances", "0", "instances '0' is not between 1 and"),
        ("ht", "true", "ht true: threads shared cores by hyper-threading"),
        ("ht", "maybe", "ht 'maybe' is not true or false"),
        ("threads", "1", "column intraop_threads appears twice"),
        ("interop_threads", "4", "interop_threads 4: coresplit uses one inter-op thread"),
        ("flops", "many", "flops 'many' is not a finite number"),
        ("flops", "-1", "flops '-1' is negative"),
    ],
)
def test_what_a_cell_cannot_hold_is_refused(
    tmp_path: Path, column: str, value: str, what: str
) -> None:
    text = refusal(tmp_path, f"{column},{HEAD}{value},{ROW}")
    assert text.startswith(f"table.csv line {1 if 'column' in what else 2}: {what}")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("0", "throughput '0' is not a throughput above 0"),
        ("-5", "throughput '-5' is not a throughput above 0"),
        ("quick", "throughput 'quick' is not a finite number"),
        ("1e-9", "throughput 1e-09 for batch 1048576: latency "),
    ],
)
def test_a_bad_throughput_is_refused(tmp_path: Path, value: str, what: str) -> None:
    head = "benchmark,intraop_threads,batch_size,throughput\n"
    text = refusal(tmp_path, f"{head}tiny_manual_none,1,1048576,{value}\n")
    assert text.startswith(f"table.csv line 2: {what}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1: the file is empty"),
        ("\n  \n", "line 1: the file is empty"),
        (HEAD, "line 1: a header and no rows"),
        ("speed," + HEAD + "1," + ROW, "line 1: unknown column 'speed'; known are benchmark,"),
        ("a,b," + HEAD + "1,1," + ROW, "line 1: unknown column 'a' and 1 more; known are"),
        (ROW, "line 1: unknown column 'tiny_manual_none' and 5 more"),
        (HEAD.replace("batch_size", "benchmark"), "line 1: column benchmark appears twice"),
        ("intraop_threads,throughput\n", "line 1: missing column benchmark, batch_size; add"),
        (
            "benchmark,intraop_threads,batch_size\n",
            "line 1: missing column latency(min), latency(avg), latency(max) (or throughput); add",
        ),
        (HEAD.replace(",latency(max)", ""), "line 1: missing column latency(max); add it"),
        (
            HEAD.replace("latency(max)", "throughput"),
            "line 1: missing column latency(max); add it",
        ),
        ((HEAD + ROW).encode() + b"\xff", "line 3: the text is not UTF-8"),
        (b"PK\x03\x04\x00\x00\x90", "line 1: the text is not UTF-8"),
        ("x" * 200_000, "line 1: not CSV: field larger than field limit"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str | bytes, what: str) -> None:
    assert refusal(tmp_path, text).startswith(f"table.csv {what}")


def test_a_repeated_cell_names_both_lines(tmp_path: Path) -> None:
    assert refusal(tmp_path, HEAD + ROW + ROW.replace("2.0", "2.5")).endswith(
        "table.csv line 3: cell none t=1 b=1 was already given in table.csv line 2; keep one"
    )
    assert refusal(tmp_path, HEAD + ROW, LATENCY) == (
        f"table.csv line 2: cell none t=1 b=1 was already given in {LATENCY} line 2; keep one"
    )


def test_two_models_in_one_import_name_both_lines(tmp_path: Path) -> None:
    assert refusal(tmp_path, HEAD + ROW + ROW.replace("tiny", "large")) == (
        "table.csv line 3: model large, but table.csv line 2 has tiny; import one model at a time"
    )


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        imported(tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder; name the CSV files in it"
    with pytest.raises(TableError) as caught:
        imported(tmp_path / "absent.csv")
    assert str(caught.value) == (
        f"{tmp_path / 'absent.csv'} cannot be read: no such file or directory; name a CSV file"
    )


def test_the_threads_of_an_older_table_and_hyper_threading_that_is_off_are_known(
    tmp_path: Path,
) -> None:
    file = tmp_path / "older.csv"
    file.write_text(f"ht,{HEAD.replace('intraop_threads', 'threads')}False,{ROW}")
    assert [each.cell for each in imported(file).measurements] == [cell("none", 1, 1)]
