"""Instances that ran at the same time become verifications, not cells."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.errors import TableError
from coresplit.records import Published, Run, Trial, Verification, split_of
from coresplit.reports import build
from coresplit.store import import_tables, load, save
from coresplit.store.published.together import verifications

FIXTURES = Path(__file__).parent / "fixtures"
TOGETHER = FIXTURES / "tiny_together_latency.csv"
HEAD = (
    "benchmark,topology,allocator,instance_id,intraop_threads,batch_size,"
    "latency(min),latency(avg),latency(max)"
)
Rows = Sequence[tuple[int, int, int, float]]


def table(file: Path, rows: Rows, *, kinds: str = "sequential,default", extra: str = "") -> Path:
    """Rows of instance, threads, batch and mean milliseconds; ``extra`` is a column and value."""
    column, _, value = extra.partition("=")
    lines = [HEAD + (f",{column}" if column else "")]
    for number, threads, batch, mean in rows:
        line = f"tiny_manual_script,{kinds},{number},{threads},{batch},{mean - 1},{mean},{mean + 1}"
        lines.append(line + (f",{value}" if column else ""))
    file.write_text("\n".join(lines) + "\n")
    return file


def ran(run: Run) -> list[Verification]:
    return [entry for entry in run.journal if isinstance(entry, Verification)]


def imported(*paths: Path) -> Run:
    return import_tables(paths, created_at=5.0)


def shapes(run: Run) -> list[list[str]]:
    return [[f"{one.name} {one.split}" for one in each.trials] for each in ran(run)]


def refusal(file: Path) -> str:
    with pytest.raises(TableError) as caught:
        imported(file)
    return str(caught.value).replace(str(file), file.name)


def test_a_split_stands_beside_the_one_instance_above_it() -> None:
    run = imported(TOGETHER)
    assert run.measurements == ()
    assert ran(run) == [
        Verification(
            at=0.0,
            optimization="script",
            setting="isolated",
            cores=4,
            batch=8,
            trials=(
                Trial(
                    name="split",
                    split=split_of([(2, 4), (2, 4)]),
                    published=Published(minimum=0.0505, mean=0.0516, maximum=0.0707),
                ),
                Trial(
                    name="fat",
                    split=split_of([(4, 8)]),
                    published=Published(minimum=0.0525, mean=0.0535, maximum=0.0717),
                ),
            ),
        )
    ]
    assert (run.settings.optimizations, run.settings.threads) == (("script",), (2, 4))


def test_a_split_can_be_saved_loaded_and_shown(tmp_path: Path) -> None:
    run = imported(TOGETHER)
    save(tmp_path / "run", run)
    assert load(tmp_path / "run") == msgspec.structs.replace(run, warnings=())
    page = build(run, tmp_path / "page", frozenset({"markdown"})).read_text()
    assert "Published Splits" in page
    assert "2 × 2 threads, batch 4" in page
    assert "1 × 4 threads, batch 8" in page


def test_what_is_shown_of_a_published_split_is_judged_by_the_noise_assumed_of_tables(
    tmp_path: Path,
) -> None:
    quick = [(1, 4, 8, 100.0), (1, 2, 4, 50.0), (2, 2, 4, 50.0)]
    level = [(1, 4, 16, 100.0), (1, 2, 8, 101.0), (2, 2, 8, 101.0)]
    run = imported(table(tmp_path / "t.csv", [*quick, *level]))
    page = build(run, tmp_path / "page", frozenset({"markdown"})).read_text()
    assert "of 2 compared splits, 1 confirmed and 1 too close to call" in page


def test_numbers_may_begin_at_nought_which_ran_alone(tmp_path: Path) -> None:
    rows = [(0, 4, 8, 100.0), (2, 2, 4, 60.0), (1, 2, 4, 61.0), (0, 4, 16, 200.0)]
    assert shapes(imported(table(tmp_path / "t.csv", rows))) == [
        ["split <2, 2, 4>", "fat <1, 4, 8>"],
        ["split <1, 4, 16>"],
    ]


def test_a_stated_number_of_instances_is_believed(tmp_path: Path) -> None:
    rows = [(0, 1, 16, 10.0), (2, 1, 16, 12.0), (1, 1, 16, 11.0), (3, 1, 16, 11.0)]
    run = imported(table(tmp_path / "t.csv", rows, extra="instances=3"))
    assert shapes(run) == [["split <1, 1, 16>"], ["split <3, 1, 16>"]]
    assert [each.cores for each in ran(run)] == [3, 3]
    missing = imported(table(tmp_path / "u.csv", rows[1:3], extra="instances=3"))
    assert shapes(missing) == [["split <3, 1, 16>"]]
    assert any("lacks 1 instance of" in text for text in missing.warnings)


def test_missing_instances_are_told_by_the_batch_and_noted(tmp_path: Path) -> None:
    rows = [(1, 4, 8, 100.0), (1, 1, 2, 60.0), (3, 1, 2, 61.0)]
    run = imported(table(tmp_path / "t.csv", rows))
    assert shapes(run) == [["split <4, 1, 2>", "fat <1, 4, 8>"]]
    assert any("lacks 2 instances" in text for text in run.warnings)
    assert [trial.missing for trial in ran(run)[0].trials] == [2, 0]
    page = build(run, tmp_path / "page", frozenset({"markdown"})).read_text()
    assert "4 × 1 thread, batch 2, 2 of them not stated" in page


def test_instances_may_differ_as_long_as_none_is_missing(tmp_path: Path) -> None:
    rows = [(1, 4, 16, 100.0), (1, 2, 12, 90.0), (2, 1, 2, 80.0), (3, 1, 2, 70.0)]
    assert shapes(imported(table(tmp_path / "t.csv", rows))) == [
        ["split <1, 2, 12> + <2, 1, 2>", "fat <1, 4, 16>"]
    ]
    text = refusal(table(tmp_path / "u.csv", [*rows[:2], rows[3]]))
    assert text.startswith("u.csv line 3: instance_id: 2 different instances")
    assert "remove these rows" in text


def test_other_conditions_are_another_configuration(tmp_path: Path) -> None:
    rows = [(1, 1, 1, 10.0), (2, 1, 1, 10.0)]
    files = [
        table(tmp_path / "a.csv", [(1, 2, 2, 30.0), *rows]),
        table(tmp_path / "b.csv", rows, kinds="interleave,tcmalloc"),
    ]
    run = imported(*files)
    assert [(each.mapping, each.allocator, len(each.trials)) for each in ran(run)] == [
        ("sequential", "default", 2),
        ("interleave", "tcmalloc", 1),
    ]


def test_isolated_tables_beside_give_cells_and_the_cores(tmp_path: Path) -> None:
    alone = table(tmp_path / "a.csv", [(1, 8, 8, 80.0), (1, 1, 1, 30.0)])
    run = imported(alone, TOGETHER)
    assert len(run.measurements) == 2
    assert [each.cores for each in ran(run)] == [8]
    assert run.settings.threads == (1, 8)


def test_an_isolated_table_that_counts_from_nought_holds_cells(tmp_path: Path) -> None:
    run = imported(table(tmp_path / "t.csv", [(0, 1, 1, 30.0), (0, 2, 1, 20.0)]))
    assert len(run.measurements) == 2
    assert run.journal == ()


def test_throughputs_of_instances_that_ran_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    head = "benchmark,instance_id,intraop_threads,batch_size,throughput\n"
    file.write_text(head + "tiny_manual_none,2,1,1,30.0\n")
    assert refusal(file).startswith("t.csv line 2: the throughput of instances that ran together")


def test_a_run_of_splits_alone_is_told_apart_from_one_that_can_be_planned(
    tmp_path: Path, coresplit: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = coresplit("import", TOGETHER, "--out", tmp_path / "run")
    assert code == 0
    assert "0 cells and 1 split that ran" in err
    code, _, err = coresplit("plan", tmp_path / "run")
    assert code == 2
    assert "has no measured cells" in err


def test_the_plan_of_cells_beside_predicts_what_was_published(
    tmp_path: Path, coresplit: Callable[..., tuple[int, str, str]]
) -> None:
    cells = [(1, t, b, 25.0 * b / t**0.5) for t in (1, 2, 4) for b in (4, 8)]
    alone = table(tmp_path / "a.csv", cells)
    coresplit("import", alone, TOGETHER, "--out", tmp_path / "run", "--no-report")
    code, out, err = coresplit("plan", tmp_path / "run", "--batch", "8")
    assert code == 0, err
    assert "predicted" in out
    assert "as published" in out
    code, out, err = coresplit("report", tmp_path / "run", "--format", "markdown")
    assert code == 0, err
    page = Path(out.strip()).read_text()
    assert "Published Splits" in page


@given(
    exponents=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    rng=st.randoms(use_true_random=False),
)
def test_complete_groups_come_back_in_whatever_order_their_instances_stand(
    exponents: list[int], rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fat of 32 threads, then equal instances, for every batch."""
    rows: list[tuple[int, int, int, float]] = []
    expected = []
    for place, exponent in enumerate(exponents):
        count, batch = 2**exponent, 32 * (place + 1)
        numbers = list(range(1, count + 1))
        rng.shuffle(numbers)
        each = (32 // count, batch // count)
        rows += [(1, 32, batch, 50.0), *((number, *each, 20.0) for number in numbers)]
        expected.append([f"split <{count}, {each[0]}, {each[1]}>", f"fat <1, 32, {batch}>"])
    file = table(tmp_path_factory.mktemp("made") / "t.csv", rows)
    assert shapes(imported(file)) == expected


def test_trials_hold_either_rounds_or_published_values(tmp_path: Path) -> None:
    (entry,) = ran(imported(TOGETHER))
    both = tuple(msgspec.structs.replace(trial, samples=(0.05,)) for trial in entry.trials)
    run = msgspec.structs.replace(
        imported(TOGETHER), journal=(msgspec.structs.replace(entry, trials=both),)
    )
    with pytest.raises(Exception, match="either samples or published values"):
        save(tmp_path / "run", run)
    assert verifications([], 0, []) == ()
