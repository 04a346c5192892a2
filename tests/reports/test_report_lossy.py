from itertools import pairwise
from typing import Any

import msgspec
from report_many import TEN, many_run
from report_runs import exact, measured_run, published_run, run_of

from coresplit.analysis.ranking import rankings_of
from coresplit.analysis.view import RunView
from coresplit.records import UNCHECKED, Prepared, Run
from coresplit.reports.compose import document_of
from coresplit.reports.pages.html import html_page
from coresplit.reports.pages.markdown import markdown_page
from coresplit.reports.sections.cells import preparation_table
from coresplit.reports.sections.choice.text import finding_of
from coresplit.reports.sections.cost import agreement_of, cost_table, number_type
from coresplit.stats.lossy import lossy_of, unchecked_of, unchecked_text


def stated(optimization: str, **changes: Any) -> Prepared:  # noqa: ANN401
    plain = Prepared(
        at=0.0,
        optimization=optimization,
        threads=1,
        start_s=1.0,
        prepare_s=2.0,
        error=0.0,
        largest_tensor=1,
    )
    return msgspec.structs.replace(plain, **changes)


def spec_of(run: Run, name: str) -> dict[str, Any]:
    return next(figure.spec for figure in document_of(run).figures if figure.name == name)


def test_costs_tell_error_agreement_preparation_library_and_failure() -> None:
    run = many_run(batches=(1, 8), failing=("trace",))
    table = cost_table(run, TEN)
    assert table is not None
    lines = {line.texts[0]: line for line in table.lines}
    assert list(lines) == list(TEN)
    assert lines["int8"].texts[1:] == (
        "lossy", "34 %", "25 %", "256", "21.0 s", "openvino 2026.1.0, nncf 3.0.0", "int8",
        "quantized 94",
    )  # fmt: skip
    assert lines["script"].texts[1:5] == (
        "same as eager", "3.1e-06", "too few inputs (4)", "4",
    )  # fmt: skip
    assert lines["trace"].texts[1].startswith("failed: 'batch_norm' has no such kernel")
    assert [lines[name].kind for name in ("script", "trace", "int8")] == ["", "failed", "lossy"]


def test_costs_are_the_worst_of_all_instances() -> None:
    entries = (
        stated("int8", error=0.1, agreement=0.9, compared=256, facts={"lossy": "yes"}),
        stated("int8", error=0.2, agreement=0.8, compared=256, prepare_s=40.0),
    )
    run = msgspec.structs.replace(run_of(exact("int8", 1, 1, 5)), journal=entries)
    table = cost_table(run, ("int8",))
    assert table is not None
    assert table.lines[0].texts[1:6] == (
        "lossy",
        "20 %",
        "80 %",
        "256",
        "21.0 s (2.00 s to 40.0 s)",
    )
    assert agreement_of(run, "int8") == (0.8, 256)


def test_a_run_without_instances_or_failures_has_no_table_of_costs() -> None:
    assert cost_table(published_run(2), ("none", "script")) is None


def test_lossy_is_what_an_instance_stated_and_number_types_have_one_name() -> None:
    run = many_run(batches=(1,))
    assert lossy_of(run) == {"bf16", "int8"}
    kinds = [number_type(run, name) for name in ("none", "openvino", "bf16", "int8", "unknown")]
    assert kinds == ["float32", "float32", "bfloat16", "int8", "float32"]


def test_lossy_lines_are_dashed_and_named_as_such() -> None:
    spec = spec_of(many_run((1, 2), (1, 8)), "inception-latency-8")
    dashes = [
        test["test"]
        for layer in spec["layer"]
        for test in _conditions(layer)
        if "indexof" in test.get("test", "")
    ]
    assert dashes == ["""indexof(["bf16", "int8"], datum.o) >= 0"""]
    labels = [entry["label"] for layer in spec["layer"] for entry in _labels(layer)]
    assert {"int8 (lossy)", "bf16 (lossy)", "openvino"} <= set(labels)
    figure = next(f for f in document_of(many_run((1, 2), (1, 8))).figures if f.name.endswith("-8"))
    assert "int8 (lossy) is fastest" in figure.finding


def test_labels_of_ten_optimizations_keep_apart_and_stand_in_the_order_of_their_values() -> None:
    spec = spec_of(many_run((1, 2), (1, 8)), "inception-throughput-8")
    (entries,) = [
        _labels(layer) for layer in spec["layer"] if _labels(layer) and "size" not in layer
    ][:1]
    ordered = sorted(entries, key=lambda entry: float(entry["y1"]))
    values = [float(entry["value"]) for entry in ordered]
    assert len(ordered) == 10
    assert values == sorted(values, reverse=True)
    heights = [float(entry["y1"]) for entry in ordered]
    assert all(b - a >= 12 for a, b in pairwise(heights))


def test_both_pages_hold_the_tables_of_choice_and_cost_and_say_why_one_failed() -> None:
    run = many_run(batches=(1, 8), failing=("trace",))
    document = document_of(run)
    page = html_page(document, pictures=False)
    text = markdown_page(document, lambda figure: False)
    for needed in ("best lossless", "same top-1", "25 %", "such kernel", "compute-bound"):
        assert needed in page and needed in text
    assert (page.count("<details"), text.count("<table>")) == (8, 6)
    assert "lossy optimizations, which change results" in page


def test_long_tables_are_folded_in_both_pages() -> None:
    run = many_run(range(1, 17), (1, 2, 4, 8))
    document = document_of(run)
    summary = "The best choice at each of 64 grid points &lt;threads, batch&gt;"
    assert f"<details>\n<summary>{summary}" in markdown_page(document, lambda figure: False)
    assert f"<details>\n<summary>{summary}" in html_page(document, pictures=False)


def test_a_run_whose_every_cell_failed_tells_the_reasons_by_optimization() -> None:
    run = many_run(batches=(1,), failing=TEN)
    page = html_page(document_of(run), pictures=False)
    assert "No cell of this run has a value that can be drawn." in page
    assert page.count("failed: &#39;batch_norm&#39; has no such kernel") == len(TEN)


def _conditions(layer: dict[str, Any]) -> list[dict[str, str]]:
    dash = layer.get("encoding", {}).get("strokeDash", {}).get("condition", [])
    return dash if isinstance(dash, list) else [dash]


def _labels(layer: dict[str, Any]) -> list[dict[str, Any]]:
    values = layer.get("data", {}).get("values", [])
    shown = layer.get("encoding", {}).get("text") == {"field": "label"}
    return list(values) if shown else []


def test_script_that_was_traced_says_so_and_that_trace_is_the_same() -> None:
    entries = tuple(stated(name, facts={"torchscript": "traced"}) for name in ("script", "trace"))
    run = msgspec.structs.replace(run_of(exact("script", 1, 1, 5)), journal=entries)
    table = cost_table(run, ("script", "trace"))
    assert table is not None
    script, trace = (line.texts for line in table.lines)
    assert (script[0], trace[0]) == ("script (traced)", "trace")
    assert "same as trace" in script[-1] and "same as" not in trace[-1]
    alone = cost_table(run, ("script",))
    assert alone is not None
    assert alone.lines[0].texts[-1] == "torchscript traced"


def test_script_that_was_scripted_needs_no_word() -> None:
    entries = (stated("script", facts={"torchscript": "scripted"}),)
    run = msgspec.structs.replace(run_of(exact("script", 1, 1, 5)), journal=entries)
    table = cost_table(run, ("script", "trace"))
    assert table is not None
    assert table.lines[0].texts[0] == "script"


CONSTANT = "they hardly depend on the input"


def unchecked_run() -> Run:
    """A run of ``none`` and ``script``, whose outputs are constants."""
    run = measured_run(batches=(1, 8))
    journal = tuple(
        msgspec.structs.replace(entry, error=0.0, compared=0, facts={UNCHECKED: CONSTANT})
        if isinstance(entry, Prepared) and entry.optimization == "script"
        else entry
        for entry in run.journal
    )
    return msgspec.structs.replace(run, journal=journal)


def test_outputs_that_were_not_checked_are_named_with_the_reason() -> None:
    assert unchecked_of(unchecked_run()) == {"script": CONSTANT}
    assert unchecked_text(unchecked_run()) == f"outputs not checked (script): {CONSTANT}"
    assert unchecked_text(measured_run(batches=(1, 8))) == ""


def test_what_was_not_checked_competes_but_nothing_is_called_lossless() -> None:
    view = RunView(unchecked_run())
    (ranking,) = rankings_of(view)
    assert ranking.title == "best choice"
    assert {row.cell.optimization for row in ranking.rows} == {"none", "script"}
    assert f"Outputs not checked (script): {CONSTANT}" in finding_of(ranking, view)
    assert rankings_of(RunView(measured_run(batches=(1, 8))))[0].title == "best lossless choice"


def test_costs_and_pages_say_what_was_not_checked() -> None:
    run = unchecked_run()
    table = cost_table(run, ("none", "script"))
    assert table is not None
    none, script = (line.texts for line in table.lines)
    assert none[1] == "same as eager"
    assert script[1:5] == ("outputs not checked", "not checked", "not compared", "none")
    assert CONSTANT in script[-1]
    errors = {line.texts[0]: line.texts[5] for line in preparation_table(run).lines}
    assert errors["script"] == "not checked"
    document = document_of(run)
    for page in (
        html_page(document, pictures=False),
        markdown_page(document, lambda _: False),
    ):
        assert f"outputs not checked (script): {CONSTANT}" in page
