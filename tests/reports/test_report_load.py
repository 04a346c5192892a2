"""The page of a load: what it says, its figures, and the page in a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import altair
import msgspec
import pytest
from load_results import a_run, of_run, of_search, of_two

from coresplit.charts.figure import Figure
from coresplit.records.load import LoadResult
from coresplit.reports.loads.compose import load_document
from coresplit.reports.loads.drawing import spans_of, within
from coresplit.reports.loads.lines import result_lines
from coresplit.reports.loads.page import load_page
from coresplit.workflows.loading.writing import prepare_folder, read_load, write_load

RESULTS: dict[str, Callable[[], LoadResult]] = {
    "run": lambda: of_run(a_run(failed=8)),
    "comparison": of_two,
    "search": of_search,
}


def figures(result: LoadResult) -> dict[str, Figure]:
    return {figure.name: figure for figure in load_document(result).figures}


def values(figure: Figure, mark: str) -> list[dict[str, Any]]:
    return [
        row
        for layer in figure.spec["layer"]
        if layer["mark"]["type"] == mark
        for row in layer["data"]["values"]
    ]


@pytest.mark.parametrize("kind", RESULTS)
def test_every_figure_is_a_valid_specification(kind: str) -> None:
    found = figures(RESULTS[kind]())
    assert len(found) >= 3
    for figure in found.values():
        altair.Chart.from_dict(figure.spec).to_dict()


def test_the_timeline_has_every_second_and_the_split() -> None:
    found = figures(of_run(a_run()))
    points = values(found["run-rates"], "point")
    assert [(row["x"], row["y"]) for row in points if row["c"] == "due"] == [
        (at + 0.5, 50) for at in range(10)
    ]
    bands = [row for row in values(found["run-latency"], "rect") if row.get("fill")]
    assert [(row["x0"], row["x1"], row["label"]) for row in bands] == [
        (0.1, 5.0, "2 instances"),
        (5.0, 10.0, "1 wide + 2 narrow"),
    ]
    said = found["run-latency"].finding
    assert said == "The longest request was due in second 6 and took 600 ms."


def test_a_server_that_does_not_say_how_it_is_split_has_no_band() -> None:
    run = msgspec.structs.replace(a_run(), splits=())
    assert spans_of(run, 10.0) == ()
    assert dict(load_document(of_run(run)).about)["Instances"] == "not stated"


def test_shares_of_requests_lie_on_a_log_axis_of_what_is_beyond() -> None:
    (figure,) = [f for name, f in figures(of_run(a_run())).items() if name == "distribution"]
    points = values(figure, "point")
    assert [row["x"] for row in points[:4]] == [1, 2, 4, 8]
    assert points[1]["y"] == pytest.approx(80)
    assert within(a_run().distribution, 0.5) == pytest.approx(0.08)
    assert within((), 0.5) is None


def test_latencies_of_a_generator_at_its_end_are_not_called_the_servers() -> None:
    result = of_run(a_run(limit="cpu"))
    document = load_document(result)
    labels = [fact.label for fact in document.facts]
    assert "Latency of the generator, p99" in labels
    assert not [label for label in labels if label.startswith("Latency, ")]
    assert any("not the server's" in warning for warning in document.warnings)
    lines = list(result_lines(result))
    assert not [line for line in lines if line.startswith("latency")]
    assert any(line.startswith("generator   p50 20.0 ms") for line in lines)
    honest = list(result_lines(of_run(a_run())))
    assert any(line.startswith("latency     p50 20.0 ms") for line in honest)
    assert not [line for line in honest if line.startswith("warning")]


def test_a_difference_is_named_only_where_it_is_shown() -> None:
    lines = list(result_lines(of_two()))
    assert "p50         20.0 ms and 30.0 ms: the first is 1.50x (1.40x to 1.60x) as fast as" in (
        "\n".join(lines)
    )
    (vague,) = [line for line in lines if line.startswith("p99")]
    assert vague.endswith("too close to call (ratio 0.800x to 2.80x)")
    facts = {fact.label: fact.value for fact in load_document(of_two()).facts}
    assert facts == {"p50": "first 1.50x", "p99": "too close to call"}


def test_a_search_tells_its_interval_and_draws_its_trials() -> None:
    result = of_search()
    assert result.search is not None
    first, second, *trials = result_lines(result)
    assert "requests/s hold p99 within 500 ms, and fails at" in first
    assert second == f"the limit is the server's; {len(result.runs)} trials"
    assert len(trials) == len(result.runs)
    points = values(figures(result)["trials"], "point")
    assert len(points) == len(result.runs)
    assert {row["fill"] == "#ffffff" for row in points if row["x"] > 100.01} == {True}
    assert {row["fill"] == "#ffffff" for row in points if row["x"] < 99.99} == {False}


def test_a_load_without_an_answer_has_a_page(tmp_path: Path) -> None:
    run = msgspec.structs.replace(
        a_run(), answered=0, failed=400, latency=None, distribution=(), seconds=(), splits=()
    )
    document = load_document(of_run(run))
    assert [fact.label for fact in document.facts] == ["Throughput", "Failed"]
    nothing = LoadResult(version="0", created_at=0, targets=(("u", "d"),), runs=())
    assert "Nothing was measured." in load_page(nothing)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "out")
    page = write_load(of_two(), tmp_path / "out")
    assert page.name == "index.html"
    assert read_load(tmp_path / "out" / "result.json") == of_two()
    assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "result.json"]


def test_what_a_server_says_of_itself_is_no_markup() -> None:
    run = msgspec.structs.replace(
        a_run(), errors={"<script>alert(1)</script>": 1}, failed=1, url="<b>"
    )
    result = LoadResult(
        version="0", created_at=0, targets=(("<b>u</b>", "</script><i>"),), runs=(run,)
    )
    page = load_page(result)
    assert "<script>alert(1)" not in page
    assert "<b>u</b>" not in page
    assert "</script><i>" not in page
