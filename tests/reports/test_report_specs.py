from typing import Any

import altair
import pytest
from report_many import many_run
from report_runs import all_verdicts, exact, measured_run, published_run, run_of

from coresplit.charts.figure import file_name
from coresplit.charts.render import complete
from coresplit.charts.theme import config
from coresplit.records import Run
from coresplit.reports.compose import document_of

PER_BATCH = [2**n for n in range(11)]
PUBLISHED = [
    *(f"inception-latency-{batch}" for batch in PER_BATCH),
    "inception-latency-none",
    "inception-latency-script",
    *(f"inception-throughput-{batch}" for batch in PER_BATCH),
    "inception-throughput-none",
    "inception-throughput-script",
    "inception-throughput-speedup-script",
    "inception-throughput-script-perBS",
]


def spec_of(run: Run, name: str) -> dict[str, Any]:
    return next(figure.spec for figure in document_of(run).figures if figure.name == name)


def layer_marks(spec: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in spec["layer"]]


def written(spec: dict[str, Any]) -> list[str]:
    """Texts that stand in a chart: fixed ones and those of its labels."""
    texts = [layer["mark"]["text"] for layer in spec["layer"] if "text" in layer["mark"]]
    for layer in spec["layer"]:
        if layer.get("encoding", {}).get("text") == {"field": "label"}:
            texts += [entry["label"] for entry in layer["data"]["values"]]
    return texts


def test_figures_come_in_the_order_of_the_published_page() -> None:
    names = [figure.name for figure in document_of(published_run()).figures]
    choice = ["inception-choice-best", "inception-choice-gain-1", "inception-choice-gain-16"]
    assert names[:3] == choice
    assert names[3:5] == ["inception-split-cores", "inception-split-speedup"]
    assert names[5:33] == PUBLISHED
    assert names[33:] == [
        "inception-map-throughput-none",
        "inception-map-throughput-script",
        "inception-map-gain-script",
    ]


def test_headings_are_those_of_the_published_page() -> None:
    document = document_of(published_run(4, ("sequential", "interleave")))
    headings = [(s.heading, [block.heading for block in s.blocks]) for s in document.sections]
    throughput = [
        "Throughput Per Batch",
        "Throughput Per Optimization",
        "Speedup",
        "Throughput Per Batch",
    ]
    latency = ["Latency Per Batch", "Latency Per Optimization"]
    assert headings == [
        ("Choice", ["Best Optimization"]),
        ("How to split this machine", ["Best Split Per Batch"]),
        ("Latency (Sequential)", latency),
        ("Throughput (Sequential)", throughput),
        ("Maps (Sequential)", ["Throughput Map", "Gain Map"]),
        ("Latency (Interleave)", latency),
        ("Throughput (Interleave)", throughput),
        ("Maps (Interleave)", ["Throughput Map", "Gain Map"]),
        ("Mappings", ["Mapping Per Batch", "Mapping Map"]),
    ]


@pytest.mark.parametrize(
    "run",
    [
        published_run(3),
        all_verdicts(),
        measured_run((1, 4, 64), (1, 8, 512)),
        many_run((1, 4), (1, 8, 512), allocators=("default", "tcmalloc")),
        many_run((1, 4), (1, 8), ("none", "script"), mappings=("sequential", "interleave")),
    ],
)
def test_every_specification_keeps_to_the_schema(run: Run) -> None:
    document = document_of(run)
    blocks = [block for section in document.sections for block in section.blocks]
    for figure in (block.figures[place] for block in blocks if block.figures for place in (0, -1)):
        altair.LayerChart.from_dict({**complete(figure, document.chart_points), "config": config()})


def test_only_none_is_compared_where_nothing_else_was_measured() -> None:
    names = [f.name for f in document_of(measured_run(optimizations=("none",))).figures]
    assert "inception-throughput-speedup-none" in names
    assert "inception-throughput-none-perBS" in names
    assert "inception-map-gain-none" not in names


def test_every_optimization_has_a_speedup_and_a_batch_figure() -> None:
    names = [f"way{n}" for n in range(9)]
    document = document_of(measured_run((1, 2), (1, 2), ("none", *names)))
    made = {figure.name for figure in document.figures}
    for name in names:
        assert {
            f"inception-throughput-speedup-{name}",
            f"inception-throughput-{name}-perBS",
            f"inception-latency-{name}",
        } <= made


def test_one_thread_gives_no_speedup_and_no_map() -> None:
    document = document_of(measured_run((1,), (1, 2)))
    headings = [block.heading for section in document.sections for block in section.blocks]
    assert "Speedup" not in headings
    assert not [heading for heading in headings if "Map" in heading]


def test_labels_stand_in_for_the_legend() -> None:
    spec = spec_of(published_run(4), "inception-latency-8")
    assert written(spec) == [
        "optimization",
        "Inception: latency over threads, batch 8",
        "none",
        "script",
    ]
    assert spec_of(published_run(4), "inception-latency-script")["autosize"] == {"type": "none"}


def test_few_series_get_bands_and_many_get_whiskers() -> None:
    run = published_run(4)
    assert "area" in layer_marks(spec_of(run, "inception-latency-8"))
    assert "area" not in layer_marks(spec_of(run, "inception-latency-script"))


def test_the_key_names_the_verdicts_of_the_chart_and_no_others() -> None:
    def key(name: str) -> list[str]:
        return [
            entry["kt"]
            for layer in spec_of(all_verdicts(), name)["layer"]
            if layer.get("encoding", {}).get("text") == {"field": "kt"}
            for entry in layer["data"]["values"]
        ]

    assert key("inception-latency-1") == []
    assert key("inception-latency-4") == ["measured", "unstable"]
    assert key("inception-latency-64") == ["light (1 or 2 visits)"]
    assert key("inception-latency-512") == ["estimated"]


def test_speedup_has_the_ideal_line_over_threads() -> None:
    spec = spec_of(published_run(16), "inception-throughput-speedup-script")
    assert spec["encoding"]["x"]["field"] == "t"
    assert "ideal" in written(spec)
    ends = spec["layer"][0]["data"]["values"]
    assert [end["ideal"] for end in ends] == [end["t"] for end in ends]


def test_speedup_of_two_threads_is_drawn_over_batch() -> None:
    spec = spec_of(all_verdicts(), "inception-throughput-speedup-script")
    assert spec["encoding"]["x"]["field"] == "b"
    assert spec["layer"][0]["data"]["values"] == [{"ideal": 2.0}]


def test_every_axis_names_its_unit() -> None:
    titles = {
        spec["encoding"][axis]["axis"]["title"]
        for spec in (figure.spec for figure in document_of(published_run(16)).figures)
        for axis in ("x", "y")
    }
    assert titles == {
        "threads",
        "batch (inputs per forward pass)",
        "batch (inputs of all instances)",
        "core",
        "speedup of the split (times the other)",
        "latency of one forward pass (ms)",
        "latency of one forward pass (ms, s)",
        "latency of one forward pass (s)",
        "throughput (inferences/s)",
        "throughput (times eager)",
        "speedup (times 1 thread)",
    }


def test_axes_of_one_block_are_all_logarithmic_or_none() -> None:
    kinds = {
        spec_of(published_run(16), f"inception-latency-{b}")["encoding"]["y"]["scale"]["type"]
        for b in PER_BATCH
    }
    assert kinds == {"log"}


def test_points_tell_verdict_reason_value_interval_and_samples() -> None:
    spec = spec_of(all_verdicts(), "inception-latency-4")
    (points,) = [layer for layer in spec["layer"] if "tooltip" in layer.get("encoding", {})]
    assert [entry["title"] for entry in points["encoding"]["tooltip"]] == [
        "optimization",
        "threads",
        "batch",
        "latency (ms)",
        "interval",
        "samples",
        "verdict",
        "reason",
    ]


def test_names_are_safe_in_a_path_and_never_taken_twice() -> None:
    assert file_name("../a b/<c>") == "_a_b__c_"
    run = run_of(exact("8", 1, 8, 10), exact("a/b", 1, 8, 10), exact("a?b", 1, 8, 10))
    names = [figure.name for figure in document_of(run).figures]
    assert len(set(names)) == len(names)
    assert {"tiny-latency-8", "tiny-latency-8-2", "tiny-latency-a_b", "tiny-latency-a_b-2"} <= set(
        names
    )


def test_a_run_without_values_has_no_section() -> None:
    assert document_of(run_of()).sections == ()


def test_no_value_axis_has_a_format_that_would_round_its_labels() -> None:
    # Vega fits the precision of an axis format to the step: 2.5 and 7.5 would read 3 and 8
    axes = [
        encoding["y"]["axis"]
        for figure in document_of(measured_run()).figures
        if "map" not in figure.name
        for encoding in encodings(figure.spec)
        if isinstance(encoding.get("y"), dict) and "values" in (encoding["y"].get("axis") or {})
    ]
    assert len(axes) > 20
    assert all("labelExpr" in axis and "format" not in axis for axis in axes)


def encodings(spec: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    found = [spec["encoding"]] if "encoding" in spec else []
    return found + [each for layer in spec.get("layer", []) for each in encodings(layer)]
