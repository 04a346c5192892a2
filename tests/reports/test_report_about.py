"""What the report says of how a run was measured."""

from collections.abc import Callable

import msgspec
import pytest
from report_runs import exact, published_run, run_of

from coresplit.records import Disturbed, Run
from coresplit.reports.compose import document_of
from coresplit.reports.pages.html import html_page
from coresplit.reports.pages.markdown import markdown_page
from coresplit.reports.sections.cells import disturbance_table


@pytest.mark.parametrize(("inputs", "text"), [("hot", "same"), ("rotate", "rotating")])
def test_the_report_says_which_inputs_the_forwards_saw(inputs: str, text: str) -> None:
    run = run_of(exact("none", 1, 1, 10.0))
    run = msgspec.structs.replace(
        run, settings=msgspec.structs.replace(run.settings, inputs=inputs)
    )
    assert text in dict(document_of(run).about)["Inputs"]


def test_nothing_is_said_of_the_inputs_of_published_tables() -> None:
    run = published_run(threads=2)
    assert "Inputs" not in dict(document_of(run).about)


def disturbed_run() -> Run:
    run = run_of(exact("none", 1, 1, 10.0))
    entries = [
        Disturbed(
            at=1767268801.0,
            cell=cell,
            cause="process",
            cpu=1,
            share=share,
            reason=f"another process held {share * 100:.0f} % of core 1",
            by="loop (process 7)",
        )
        for cell, share in ((run.measurements[0].cell, 0.48), (None, 0.3))
    ]
    return msgspec.structs.replace(run, journal=(*run.journal, *entries))


def test_disturbed_visits_are_counted_and_listed_with_their_core_and_process() -> None:
    run = disturbed_run()
    said = dict(document_of(run).about)["Disturbed"]
    assert "visits were disturbed" in said
    assert "48 % of core 1" in said
    assert "loop (process 7)" in said
    first, second = disturbance_table(run).lines
    assert first.texts[1:] == (
        str(run.measurements[0].cell),
        "another process held 48 % of core 1",
        "loop (process 7)",
    )
    assert second.texts[1] == "a verification"


def test_both_pages_tell_of_disturbed_visits_and_neither_does_of_a_quiet_run() -> None:
    run, quiet = disturbed_run(), run_of(exact("none", 1, 1, 10.0))
    pages: list[Callable[[Run], str]] = [
        lambda run: html_page(document_of(run), pictures=False),
        lambda run: markdown_page(document_of(run), lambda figure: False),
    ]
    for page in pages:
        assert "loop (process 7)" in page(run)
        assert "visits were disturbed" not in page(quiet)
        assert "Disturbed visits" not in page(quiet)
