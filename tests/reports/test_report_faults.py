"""What a run has found comes first, then at most three lines of advice; the page has the rest."""

from pathlib import Path

import msgspec
import pytest
from report_many import many_run
from report_runs import exact, replaced, run_of

from coresplit.analysis.view import RunView
from coresplit.cli.commands import bench
from coresplit.cli.telling import advice_of
from coresplit.records import Cell, Evidence, Measurement, Run
from coresplit.reports.compose import document_of
from coresplit.reports.headline import headlines
from coresplit.reports.sections.page_faults import about_faults, faults_of
from coresplit.sweep import Outcome

PATH = Path("runs/inception")
HERE = ("default", "glibc_tuned")


def measurement(batch: int, user_s: float, system_s: float, faults: int = 1000) -> Measurement:
    evidence = Evidence(
        forwards=10,
        wall_s=user_s + system_s,
        user_s=user_s,
        system_s=system_s,
        minor_faults=faults,
        major_faults=0,
        voluntary_switches=0,
        involuntary_switches=0,
        throttled_periods=0,
        throttled_s=0.0,
        steal_s=0.0,
        peak_memory=1,
        started_at=0.0,
        threads=1,
        thread_cores=("0",),
    )
    cell = Cell(optimization="script", threads=1, batch=batch)
    return Measurement(cell=cell, verdict="measured", reason="", samples=(1.0,), evidence=evidence)


def slow(allocators: tuple[str, ...]) -> Run:
    """A run whose default allocator lets the kernel work."""
    run = many_run(batches=(1, 8), optimizations=("none", "script"), allocators=allocators)
    worked = []
    for each in run.measurements:
        assert each.evidence is not None
        share = 0.4 if each.cell.allocator == "default" else 0.01
        busy = each.evidence.user_s + each.evidence.system_s
        evidence = msgspec.structs.replace(
            each.evidence, user_s=(1 - share) * busy, system_s=share * busy
        )
        worked.append(msgspec.structs.replace(each, evidence=evidence))
    return replaced(run, *worked)


def advised(run: Run, usable: tuple[str, ...] = HERE) -> tuple[str, ...]:
    return advice_of(RunView(run, str(PATH)), usable)


def test_cells_in_which_the_kernel_took_much_are_counted_and_the_worst_is_named() -> None:
    skipped = Measurement(
        cell=Cell(optimization="none", threads=1, batch=1), verdict="skipped", reason="x"
    )
    cells = [measurement(8, 9.5, 0.5), measurement(64, 6, 4, 25_000), measurement(16, 8, 2)]
    found = faults_of([*cells, skipped])
    assert found is not None
    assert (found.high, found.cells, found.worst.cell.batch) == (2, 3, 64)
    assert found.share == pytest.approx(0.4)
    run = run_of(*cells)
    assert (
        "up to 40 % in script t=1 b=64, with 2,500 page faults per forward"
        in (dict(about_faults(RunView(run)))["Page faults"])
    )


def test_a_kernel_that_wakes_threads_is_not_cured_by_an_allocator() -> None:
    assert faults_of([measurement(1, 6.0, 4.0, faults=999)]) is None
    assert faults_of([measurement(1, 6.0, 4.0, faults=1000)]) is not None


def test_a_kernel_share_of_ten_percent_or_none_at_all_is_no_matter() -> None:
    assert faults_of([measurement(8, 9.0, 1.0), measurement(1, 0.0, 0.0)]) is None
    assert faults_of([]) is None
    run = run_of(exact("none", 1, 1, 10.0))
    assert advised(run) == ()
    assert "Page faults" not in dict(document_of(run).about)


def test_an_allocator_that_was_not_measured_is_one_command() -> None:
    what, command, more = advised(slow(("default",)))
    assert what.startswith("warning: the kernel took over 10 %")
    assert command.endswith("coresplit bench --resume runs/inception --allocator glibc_tuned")
    assert "coresplit doctor" in more
    assert len(advised(slow(("default",)), ("default",))) == 2


def test_what_was_measured_is_told_instead_of_advised() -> None:
    run = slow(HERE)
    _, outcome, more = advised(run)
    assert "glibc_tuned is faster than the default allocator in" in outcome
    assert "--allocator" not in " ".join((outcome, more))
    on_page = dict(document_of(run).about)["Page faults"]
    assert outcome.strip() in on_page
    assert "--allocator" not in on_page


def test_further_allocators_are_counted_on_the_terminal_and_told_on_the_page() -> None:
    run = slow(("default", "glibc_tuned", "tcmalloc"))
    lines = advised(run)
    assert len(lines) == 3
    assert lines[1].endswith("(1 more in the report)")
    assert "tcmalloc is faster" in dict(document_of(run).about)["Page faults"]


def test_a_page_of_a_run_with_one_allocator_says_how_to_measure_another() -> None:
    run = slow(("default",))
    text = dict(document_of(run).about)["Page faults"]
    assert f"coresplit bench --resume {run.name} --allocator glibc_tuned" in text


def test_the_findings_are_facts_of_the_page() -> None:
    run = many_run(batches=(1, 8), optimizations=("none", "script"))
    facts = [f"{fact.label}: {fact.value} ({fact.note})" for fact in document_of(run).facts]
    lines = headlines(RunView(run, str(PATH)))
    assert len(lines) == 2
    for line in lines:
        assert line.replace(f"plan {PATH} ", f"plan {run.name} ") in facts
    assert lines[1].startswith("Highest throughput: ")
    assert " to " in lines[1]


def test_a_run_without_values_has_nothing_to_tell() -> None:
    failed = Measurement(
        cell=Cell(optimization="none", threads=1, batch=1), verdict="failed", reason="x"
    )
    assert headlines(RunView(run_of(failed))) == ()
    assert advised(run_of(failed)) == ()


def test_bench_says_first_what_was_found_then_where_it_is_then_what_to_do(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "say", print)
    outcome = Outcome(
        reason="complete", wall_s=60.0, forward_s=50.0, interrupted=False, verdicts={}
    )
    bench._tell(slow(("default",)), outcome, PATH, PATH / "report" / "index.html", as_json=False)
    lines = capfd.readouterr().out.splitlines()
    starts = ["Best split", "Highest", "run ", "report ", "complete", "warning", "  to", "  more"]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
