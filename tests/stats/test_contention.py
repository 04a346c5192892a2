"""What counts as a disturbance, from counters alone."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.records import (
    AnchorVisit,
    Cell,
    Disturbed,
    Measurement,
    ModelInfo,
    Run,
    Settings,
    Signs,
    Visit,
)
from coresplit.stats import contention
from coresplit.stats.contention import disturbance, disturbances, disturbed, told
from coresplit.stats.sampling import judged

QUIET = Signs(wall_s=1.0, waited_s=0.01, core=1, switches=40, clock_hz=3e9, clock_begin_hz=3e9)
CELL = Cell(optimization="none", threads=2, batch=1)


def signs(**changes: object) -> Signs:
    return msgspec.structs.replace(QUIET, **changes)


def measured(*each: Signs | None) -> Measurement:
    return Measurement(
        cell=CELL,
        verdict="measured",
        reason="",
        samples=(0.1, 0.1, 0.1) * len(each),
        visits=tuple(Visit(samples=3, signs=one) for one in each),
    )


def run(*measurements: Measurement, journal: tuple[object, ...] = ()) -> Run:
    return Run(
        name="r",
        created_at=0.0,
        model=ModelInfo(name="m", title="M"),
        settings=Settings(optimizations=("none",), threads=(2,), batches=(1,)),
        machine=None,
        software={},
        measurements=measurements,
        journal=journal,  # type: ignore[arg-type]
    )


def test_a_quiet_visit_and_one_that_tells_nothing_are_not_disturbed() -> None:
    assert disturbance(QUIET) is None
    assert disturbance(None) is None
    assert disturbance(Signs(wall_s=0.0)) is None


def test_a_thread_that_waited_for_its_core_names_the_core_and_the_share() -> None:
    found = disturbance(signs(waited_s=0.48))
    assert found is not None
    assert (found.cause, found.cpu, found.share) == ("process", 1, 0.48)
    assert found.reason == "another process held 48 % of core 1"
    moving = disturbance(signs(waited_s=0.48, core=None))
    assert moving is not None
    assert moving.reason.endswith("48 % of a core")


def test_where_the_kernel_tells_no_waits_time_of_others_and_switches_decide() -> None:
    assert disturbance(signs(waited_s=None, others_s=0.4, switches=90)) is not None
    # it ran while the threads slept, and pushed none of them aside
    assert disturbance(signs(waited_s=None, others_s=0.4, switches=0)) is None
    assert disturbance(signs(waited_s=None, others_s=0.02, switches=90)) is None


def test_a_busy_sibling_and_reading_from_disk_are_told_apart() -> None:
    sibling = disturbance(signs(sibling=5, sibling_s=0.6))
    assert sibling is not None
    assert (sibling.cause, sibling.cpu) == ("sibling", 5)
    disk = disturbance(signs(major_faults=500))
    assert disk is not None
    assert disk.cause == "disk"
    assert "500 of its memory pages" in disk.reason


def test_a_clock_that_changes_in_a_visit_names_both_clocks() -> None:
    found = disturbance(signs(clock_hz=2.5e9))
    assert found is not None
    assert found.cause == "clock"
    assert "3.00 GHz" in found.reason
    assert "2.50 GHz" in found.reason
    assert disturbance(signs(clock_hz=2.8e9)) is None
    assert disturbance(signs(clock_hz=None)) is None


def test_the_clock_of_most_visits_is_the_usual_one_whichever_came_first() -> None:
    slow, fast = signs(clock_hz=2e9, clock_begin_hz=2e9), signs()
    first_odd = disturbances([slow, fast, fast])
    assert [one is None for one in first_odd] == [False, True, True]
    last_odd = disturbances([fast, fast, slow])
    assert [one is None for one in last_odd] == [True, True, False]


@given(
    wall=st.floats(1e-3, 1e3),
    share=st.floats(0.0, 1.0),
    hz=st.one_of(st.none(), st.floats(1e8, 6e9)),
)
def test_only_a_share_beyond_the_limit_is_suspect_and_more_never_makes_it_quiet(
    wall: float, share: float, hz: float | None
) -> None:
    one = Signs(wall_s=wall, waited_s=share * wall, core=0, clock_hz=hz, clock_begin_hz=hz)
    found = disturbance(one)
    held = share * wall
    limit = max(contention.WAIT_LIMIT * wall, contention.WAIT_FLOOR_S)
    assert (found is not None) == (held > limit)
    if found is not None:
        assert 0.0 <= found.share <= 1.0
        worse = msgspec.structs.replace(one, waited_s=2 * held)
        assert disturbance(worse) is not None


@given(clock=st.floats(1e8, 6e9), count=st.integers(1, 8))
def test_a_clock_that_stands_still_is_never_suspect(clock: float, count: int) -> None:
    still = signs(clock_hz=clock, clock_begin_hz=clock)
    assert disturbances([still] * count) == [None] * count


@given(st.lists(st.floats(1e9, 4e9), min_size=1, max_size=9))
def test_there_is_always_a_visit_with_the_usual_clock(clocks: list[float]) -> None:
    found = disturbances([signs(clock_hz=hz, clock_begin_hz=hz) for hz in clocks])
    assert None in found


def test_a_cell_is_disturbed_only_when_all_of_its_visits_are() -> None:
    busy = signs(waited_s=0.3)
    assert disturbed(measured(busy, signs(waited_s=0.5))) == "another process held 50 % of core 1"
    assert disturbed(measured(busy, QUIET)) is None
    assert disturbed(measured(None, None)) is None
    assert disturbed(measured()) is None


def test_a_disturbed_cell_is_judged_unstable_however_narrow_its_interval() -> None:
    quiet, busy = measured(*[QUIET] * 9), measured(*[signs(waited_s=0.5)] * 9)
    other = msgspec.structs.replace(
        quiet, cell=Cell(optimization="none", threads=1, batch=1), samples=(0.1, 0.101, 0.099) * 9
    )
    found, _ = judged(run(busy, other)).measurements
    assert found.verdict == "unstable"
    assert "another process held 50 % of core 1" in found.reason
    assert judged(run(quiet, other)).measurements[0].verdict == "measured"


def test_the_run_is_told_how_many_visits_where_and_by_whom() -> None:
    journal = (
        AnchorVisit(at=0.0, samples=(0.1,)),
        *(
            Disturbed(
                at=0.0,
                cell=CELL,
                cause="process",
                cpu=1,
                share=share,
                reason=f"held {share}",
                by=by,
            )
            for share, by in ((0.3, "loop (process 7)"), (0.5, "loop (process 7)"), (0.2, ""))
        ),
    )
    text = told(run(measured(QUIET, QUIET), journal=journal))
    assert text is not None
    assert "3 of 6 visits were disturbed" in text
    assert "held 0.5" in text
    assert "loop (process 7)" in text
    assert "not used" in text
    left = told(run(measured(signs(waited_s=0.5)), journal=journal))
    assert left is not None
    assert "1 cell has no other visit" in left


def test_nothing_is_told_of_a_quiet_run() -> None:
    assert told(run(measured(QUIET))) is None


@pytest.mark.parametrize("cause", ["process", "sibling"])
def test_a_share_is_never_over_the_whole(cause: str) -> None:
    one = signs(waited_s=3.0) if cause == "process" else signs(sibling=3, sibling_s=9.0)
    found = disturbance(one)
    assert found is not None
    assert found.share == 1.0
