import msgspec
import pytest
from report_many import FLOPS, imported, many_run
from report_runs import exact, run_of

from coresplit.analysis.view import RunView
from coresplit.records import ModelInfo, ModelInput, Peak, Prepared, Run
from coresplit.reports.compose import document_of
from coresplit.reports.document import Block, Section
from coresplit.reports.figures import Figures
from coresplit.reports.sections.efficiency import distance_section

GIGA = 1_000_000_000


def peak(threads: int = 1, **matmul_flops: float) -> Peak:
    return Peak(at=0.0, threads=threads, matmul_flops=matmul_flops, memory_bandwidth=10e9)


def prepared(optimization: str, precision: str) -> Prepared:
    return Prepared(
        at=0.0, optimization=optimization, threads=1, start_s=1, prepare_s=1, error=0.0,
        largest_tensor=1, facts={"precision": precision},
    )  # fmt: skip


def small(*entries: Peak | Prepared, model: ModelInfo | None = None) -> Run:
    run = run_of(exact("none", 1, 2, 100), exact("none", 1, 4, 160), exact("int8", 1, 2, 20))
    known = ModelInfo(name="tiny", title="Tiny", flops=2 * GIGA)
    return msgspec.structs.replace(run, model=model or known, journal=entries)


def section_of(run: Run) -> Section | None:
    view = RunView(run)
    return distance_section(view, Figures(view))


def block(run: Run) -> Block:
    found = section_of(run)
    assert found is not None
    return found.blocks[0]


def test_operations_are_those_of_one_input_times_throughput() -> None:
    run = small(peak(float32=100e9, int8=400e9), prepared("int8", "i8"))
    assert [line.texts for line in block(run).tables[0].lines] == [
        ("none", "1", "4", "50.0", "float32", "100", "50 %"),
        ("int8", "1", "2", "200", "int8", "400", "50 %"),
    ]
    points = {(p["o"], p["b"]): p["y"] for p in block(run).figures[0].spec["data"]["values"]}
    assert points == {("none", 2): 40.0, ("none", 4): 50.0, ("int8", 2): 200.0}


def test_each_optimization_is_compared_with_the_peak_of_its_own_number_type() -> None:
    run = small(peak(float32=100e9, int8=250e9), prepared("int8", "INT8"))
    assert block(run).figures[0].finding == (
        "On 1 thread: int8 reaches 200 GFLOP/s at batch 2, 80 % of the int8 peak; "
        "none reaches 50.0 GFLOP/s at batch 4, 50 % of the float32 peak."
    )


def test_a_number_type_without_a_peak_says_so() -> None:
    run = small(peak(float32=100e9), prepared("int8", "int8"))
    assert block(run).tables[0].lines[1].texts[-3:] == ("int8", "not measured", "")
    labels = {
        entry["label"]
        for layer in block(run).figures[0].spec["layer"]
        if layer.get("encoding", {}).get("text") == {"field": "label"}
        for entry in layer["data"]["values"]
    }
    assert labels == {"none", "int8", "float32 peak"}


def test_the_best_of_repeated_peaks_counts() -> None:
    run = small(peak(float32=80e9), peak(float32=100e9), peak(float32=90e9))
    assert block(run).tables[0].lines[0].texts[-2:] == ("100", "50 %")


def test_without_operations_or_peaks_there_is_no_section() -> None:
    assert section_of(small()) is None
    assert section_of(small(peak(threads=8, float32=1e9))) is None
    unknown = ModelInfo(name="tiny", title="Tiny")
    assert section_of(small(peak(float32=1e9), model=unknown)) is None
    headings = [section.heading for section in document_of(imported(many_run())).sections]
    assert "Distance to the Machine" not in headings


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            10 * GIGA // 4,
            "batch 1 to 0.200 operations per byte, so that forward pass is memory-bound.",
        ),
        (GIGA // 40, "are not counted, so no roofline is drawn."),
    ],
)
def test_the_ridge_and_the_bound_of_the_model_are_told(parameters: int, text: str) -> None:
    model = ModelInfo(
        name="tiny",
        title="Tiny",
        flops=2 * GIGA,
        parameters=parameters,
        inputs=(ModelInput(name="x", shape=(3, 8)),),
    )
    note = block(small(peak(float32=100e9), model=model)).note
    assert (
        "100 GFLOP/s in float32 and copies 10.0 GB/s, so work is compute-bound above 10.0 "
        "operations per byte and memory-bound below."
    ) in note
    assert note.endswith(text)


def test_the_fewest_and_the_most_threads_have_a_chart_with_their_own_peaks() -> None:
    run = many_run((1, 2, 4), (1, 8))
    names = [f.name for f in block(run).figures]
    assert names == ["inception-operations-1", "inception-operations-4"]
    shown = block(run).figures[1].spec["data"]["values"]
    rows = {(row.cell.optimization, row.cell.batch): row for row in RunView(run).rows
            if row.cell.threads == 4}  # fmt: skip
    for point in shown:
        work = rows[point["o"], point["b"]].throughput * FLOPS / 1e9
        assert point["y"] == pytest.approx(work, rel=1e-4)
