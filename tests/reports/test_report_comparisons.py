from typing import Any

import msgspec
import pytest
from report_many import many_run
from report_runs import exact, guessed, published_run, run_of

from coresplit.charts.figure import Figure
from coresplit.records import Cell, Evidence, Mapping, Measurement, Run
from coresplit.reports.compose import document_of
from coresplit.reports.document import Section


def placed(
    item: Measurement, allocator: str = "default", mapping: Mapping = "sequential"
) -> Measurement:
    cell = msgspec.structs.replace(item.cell, allocator=allocator, mapping=mapping)
    return msgspec.structs.replace(item, cell=cell)


def with_faults(item: Measurement, faults: int) -> Measurement:
    evidence = Evidence(
        forwards=10, wall_s=1.0, user_s=1.0, system_s=0.0, minor_faults=faults, major_faults=0,
        voluntary_switches=0, involuntary_switches=0, throttled_periods=0, throttled_s=0.0,
        steal_s=0.0, peak_memory=1, started_at=0.0, threads=1, thread_cores=("0",),
    )  # fmt: skip
    return msgspec.structs.replace(item, evidence=evidence)


def section(run: Run, heading: str) -> Section:
    return next(section for section in document_of(run).sections if section.heading == heading)


def figure(run: Run, name: str) -> Figure:
    return next(figure for figure in document_of(run).figures if figure.name == name)


def values(found: Figure) -> list[dict[str, Any]]:
    return list(found.spec["data"]["values"])


def two_allocators(faults: int = 20) -> Run:
    return run_of(
        *(with_faults(exact("none", 1, b, 100 * b), 1000) for b in (1, 2, 4)),
        *(
            placed(with_faults(exact("none", 1, b, ms), faults), "tcmalloc")
            for b, ms in ((1, 101), (2, 160), (4, 440))
        ),
    )


def test_allocators_are_compared_cell_by_cell_with_their_page_faults() -> None:
    found = figure(two_allocators(), "tiny-allocator-tcmalloc-1")
    assert found.finding == (
        "On 1 thread: tcmalloc is faster than the default allocator in 1 of 3 cells, median 1.2x; "
        "slower in 2, median 0.95x. It causes 0.02 times as many page faults per forward pass."
    )
    assert [(point["b"], point["y"]) for point in values(found)] == [
        (1, pytest.approx(100 / 101, rel=1e-3)),
        (2, pytest.approx(1.25)),
        (4, pytest.approx(400 / 440, rel=1e-3)),
    ]


@pytest.mark.parametrize(
    ("faults", "text"),
    [
        (1600, "1.6 times as many page faults per forward pass."),
        (1010, "about as many page faults."),
        (0, "no page faults."),
    ],
)
def test_page_faults_are_told_as_a_share_or_as_a_multiple(faults: int, text: str) -> None:
    assert figure(two_allocators(faults), "tiny-allocator-tcmalloc-1").finding.endswith(text)


def test_without_counted_faults_none_are_told() -> None:
    run = run_of(exact("none", 1, 1, 10), placed(exact("none", 1, 1, 5), "jemalloc"))
    assert "page fault" not in figure(run, "tiny-allocator-jemalloc-1").finding


def test_a_further_allocator_gets_the_comparison_and_no_figures_of_its_own() -> None:
    run = many_run((1, 2), (1, 8), ("none", "script"), allocators=("default", "tcmalloc"))
    plain = many_run((1, 2), (1, 8), ("none", "script"))
    more = {f.name for f in document_of(run).figures} - {f.name for f in document_of(plain).figures}
    assert more == {
        "inception-allocator-tcmalloc-1",
        "inception-allocator-tcmalloc-2",
        "inception-map-allocator-tcmalloc-none",
        "inception-map-allocator-tcmalloc-script",
    }
    (lines, _) = section(run, "Allocators").blocks
    assert "table of every cell" in lines.note


def test_a_further_mapping_gets_all_figures_and_the_comparison() -> None:
    run = many_run((1, 2), (1, 8), ("none", "script"), mappings=("sequential", "interleave"))
    names = {figure.name for figure in document_of(run).figures}
    assert {
        "inception-latency-8",
        "inception-latency-8-interleave",
        "inception-mapping-interleave-2",
        "inception-map-mapping-interleave-script",
    } <= names
    assert "inception-mapping-interleave-1" not in names


def test_allocators_of_a_further_mapping_are_compared_within_it() -> None:
    run = run_of(
        exact("none", 2, 1, 100),
        placed(exact("none", 2, 1, 50), "tcmalloc"),
        placed(exact("none", 2, 1, 80), mapping="interleave"),
        placed(exact("none", 2, 1, 20), "tcmalloc", "interleave"),
    )
    ratios = {
        name: values(figure(run, f"tiny-{name}"))[0]["y"]
        for name in (
            "allocator-tcmalloc-2",
            "allocator-tcmalloc-interleave-2",
            "mapping-interleave-2",
        )
    }
    assert ratios == {
        "allocator-tcmalloc-2": 2.0,
        "allocator-tcmalloc-interleave-2": 4.0,
        "mapping-interleave-2": 1.25,
    }


def test_the_map_of_an_allocator_is_grey_where_cells_are_tied() -> None:
    items = [exact("none", t, b, 10) for t in (1, 2) for b in (1, 2)]
    others = [
        placed(exact("none", t, b, 5 if t == b else 10), "tcmalloc") for t in (1, 2) for b in (1, 2)
    ]
    found = figure(run_of(*items, *others), "tiny-map-allocator-tcmalloc-none")
    points = {(point["t"], point["b"]): (point["g"], point["gk"]) for point in values(found)}
    assert points == {
        (1, 1): (2.0, "faster"),
        (1, 2): (1.0, "equivalent"),
        (2, 1): (1.0, "equivalent"),
        (2, 2): (2.0, "faster"),
    }
    assert found.spec["layer"][0]["encoding"]["color"]["legend"]["title"] == "times default"


def test_only_cells_that_both_have_are_compared_and_a_gap_breaks_the_line() -> None:
    run = run_of(
        *(exact("none", 1, b, 10) for b in (1, 2, 4, 8)),
        *(placed(exact("none", 1, b, 5), "tcmalloc") for b in (1, 2, 8, 16)),
        placed(guessed("none", 1, 4, 5), "jemalloc"),
    )
    points = values(figure(run, "tiny-allocator-tcmalloc-1"))
    assert [point["b"] for point in points] == [1, 2, 8]
    assert points[0]["rb"] == points[1]["rb"] != points[2]["rb"]
    assert values(figure(run, "tiny-allocator-jemalloc-1"))[0]["yv"] == "estimated"


def test_one_allocator_and_one_mapping_are_not_compared() -> None:
    headings = {section.heading for section in document_of(published_run(2)).sections}
    assert not headings & {"Allocators", "Mappings"}


def test_packed_and_isolated_cells_are_not_compared_as_allocators() -> None:
    packed = Cell(optimization="none", threads=1, batch=1, setting="packed", allocator="tcmalloc")
    item = msgspec.structs.replace(exact("none", 1, 1, 5), cell=packed)
    headings = {s.heading for s in document_of(run_of(exact("none", 1, 1, 10), item)).sections}
    assert "Allocators" not in headings
