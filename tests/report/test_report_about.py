"""What the report says of how a run was measured."""

import msgspec
import pytest
from report_runs import exact, published_run, run_of

from coresplit.report.figures import book_of
from coresplit.report.summary import about


@pytest.mark.parametrize(("inputs", "text"), [("hot", "one hot input"), ("rotate", "rotating")])
def test_the_report_says_which_inputs_the_forwards_saw(inputs: str, text: str) -> None:
    run = run_of(exact("none", 1, 1, 10.0))
    run = msgspec.structs.replace(
        run, settings=msgspec.structs.replace(run.settings, inputs=inputs)
    )
    assert dict(about(run, book_of(run)))["Inputs"] == text


def test_nothing_is_said_of_the_inputs_of_published_tables() -> None:
    run = published_run(threads=2)
    assert "Inputs" not in dict(about(run, book_of(run)))
