import math

import msgspec
import pytest
from report_runs import all_verdicts, exact, guessed, measured_run, published_run, run_of

from coresplit.analysis.rows import Group, Undrawn, groups_of, undrawn_of
from coresplit.charts.points import COLUMNS, chart_points_of
from coresplit.records import AnchorVisit, Cell, Measurement, Published, Run
from coresplit.reports.sections.about import anchor_of
from coresplit.stats.claims import Claims


def groups(run: Run) -> tuple[Group, ...]:
    return groups_of(run, Claims(run))


def undrawn(run: Run) -> tuple[Undrawn, ...]:
    return undrawn_of(run, Claims(run).points)


def test_invalid_failed_and_skipped_cells_are_listed_and_not_drawn() -> None:
    run = all_verdicts()
    drawn = {str(row.cell) for group in groups(run) for row in group.rows}
    assert [(str(item.cell), item.verdict, item.reason) for item in undrawn(run)] == [
        ("none t=1 b=1024", "skipped", "would need 30.1 GiB, 22.9 GiB are free"),
        ("none t=2 b=16", "invalid", "throttled in 4 of 20 periods"),
        ("none t=2 b=1024", "failed", "the process was killed (signal 9) after 'preparing'"),
    ]
    assert len(drawn) == 41
    assert not drawn & {str(item.cell) for item in undrawn(run)}


def test_speedup_is_over_the_fewest_threads_and_as_firm_as_its_weaker_cell() -> None:
    run = run_of(guessed("none", 2, 1, 100), exact("none", 6, 1, 40))
    speedup = groups(run)[0].rows[1].speedup
    assert speedup is not None
    assert (speedup.base, speedup.verdict) == (2, "estimated")
    assert speedup.value == pytest.approx(2.5)
    # the farther end of the estimate tells its uncertainty, either way
    assert (speedup.low, speedup.high) == pytest.approx((2.0, 3.125), rel=0.01)


def test_a_row_without_its_base_cell_has_no_speedup() -> None:
    run = run_of(exact("none", 1, 1, 10), exact("none", 2, 2, 10))
    assert groups(run)[0].rows[1].speedup is None


def test_groups_are_sequential_first_and_named_by_what_is_unusual() -> None:
    base = exact("none", 1, 1, 10)
    cells = [
        Cell(optimization="none", threads=1, batch=1, setting="packed"),
        Cell(optimization="none", threads=1, batch=1, mapping="interleave"),
        Cell(optimization="none", threads=1, batch=1, allocator="tcmalloc"),
    ]
    others = [
        Measurement(cell=cell, verdict="measured", reason="", samples=base.samples)
        for cell in cells
    ]
    found = groups(run_of(base, *others))
    assert [(group.title, group.suffix) for group in found] == [
        ("Sequential", ""),
        ("Sequential, packed", "-packed"),
        ("Sequential, tcmalloc", "-tcmalloc"),
        ("Interleave", "-interleave"),
    ]


def test_a_missing_cell_breaks_the_line_along_threads_and_along_batches() -> None:
    run = run_of(
        *(exact("none", t, b, 10) for t in (1, 2, 3, 4) for b in (1, 2, 4) if (t, b) != (2, 2))
    )
    chart_points = chart_points_of(groups(run), Claims(run))
    stretch = {
        (point["t"], point["b"]): (point["rt"], point["rb"])
        for point in chart_points.records(range(len(chart_points.points)))
    }
    assert stretch[3, 2][0] == stretch[4, 2][0] != stretch[1, 2][0]
    assert stretch[1, 1][0] == stretch[2, 1][0] == stretch[4, 1][0]
    assert stretch[2, 1][1] != stretch[2, 4][1]
    assert stretch[3, 1][1] == stretch[3, 4][1]


def test_the_dataset_holds_units_of_the_axes() -> None:
    run = run_of(exact("none", 1, 4, 20), exact("script", 1, 4, 10))
    chart_points = chart_points_of(groups(run), Claims(run))
    point = chart_points.records([chart_points.index["script t=1 b=4"]])[0]
    assert tuple(point) == COLUMNS
    assert (point["ms"], point["th"], point["sp"], point["g"]) == (10.0, 400.0, 1.0, 2.002)
    assert (point["n"], point["iv"], point["gk"]) == (15, "95 %", "faster")


def test_a_latency_of_zero_is_not_drawn_and_an_interval_to_zero_is_cut() -> None:
    cells = [Cell(optimization="none", threads=1, batch=b) for b in (1, 2)]
    values = [
        Published(minimum=0.0, mean=0.0, maximum=0.0),
        Published(minimum=0.0, mean=0.01, maximum=math.inf),
    ]
    run = run_of(
        *(
            Measurement(cell=cell, verdict="measured", reason="", published=value)
            for cell, value in zip(cells, values, strict=True)
        )
    )
    (row,) = groups(run)[0].rows
    assert (row.point.low, row.point.high) == pytest.approx((1e-5, 10.0))
    assert [item.cell.batch for item in undrawn(run)] == [1]


def test_an_invalid_cell_is_not_drawn_whatever_value_it_holds() -> None:
    value = Published(minimum=0.01, mean=0.01, maximum=0.01)
    cell = Cell(optimization="none", threads=1, batch=1)
    run = run_of(Measurement(cell=cell, verdict="invalid", reason="throttled", published=value))
    assert groups(run) == ()
    assert [item.reason for item in undrawn(run)] == ["throttled"]


def test_a_published_run_is_drawn_whole() -> None:
    (group,) = groups(published_run())
    assert (len(group.rows), group.threads[-1], group.batches[-1]) == (352, 16, 1024)
    assert {row.point.interval for row in group.rows} == {"published range"}


def test_the_reason_of_a_speedup_is_that_of_its_weaker_cell() -> None:
    run = run_of(guessed("none", 2, 1, 100), exact("none", 6, 1, 40))
    reasons = [row.speedup.reason for row in groups(run)[0].rows if row.speedup]
    assert reasons == ["out of reach of the budget", "of t=2: out of reach of the budget"]


def test_optimizations_keep_the_order_that_was_asked() -> None:
    (group,) = groups(measured_run(optimizations=("script", "none", "compile"), batches=(1,)))
    assert group.optimizations(("script", "none")) == ("script", "none", "compile")


def test_the_anchor_cell_is_the_one_that_was_visited() -> None:
    run = measured_run()
    assert anchor_of(run) == run.settings.anchor
    other = Cell(optimization="none", threads=1, batch=2)
    visits = (AnchorVisit(at=1.0, cell=other, samples=(0.1,)),)
    assert anchor_of(msgspec.structs.replace(run, journal=visits)) == other
