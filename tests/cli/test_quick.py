"""Which split a quick run proves in the time that it has left."""

from pathlib import Path

import pytest
from plan_runs import four_cores

from coresplit import store
from coresplit.analysis.splits import Choice, choices_of
from coresplit.analysis.view import RunView
from coresplit.cli import quick
from coresplit.cli.quick import ROUNDS, cost_s, headline, prove_headline
from coresplit.errors import EnvironmentFault
from coresplit.instance import Interrupt


def choices() -> tuple[Choice, ...]:
    return choices_of(RunView(four_cores()))


def test_the_split_of_the_largest_predicted_gain_over_fat_is_proven() -> None:
    chosen = headline(choices(), 60.0)
    assert chosen is not None
    gains = [
        found.ratio
        for one in choices()
        if not one.plan.is_rival("fat") and (found := one.speedup("fat")) is not None
    ]
    best = chosen.speedup("fat")
    assert best is not None
    assert best.ratio == max(gains) > 1


def test_what_would_not_end_in_time_is_not_proven() -> None:
    costs = sorted(cost_s(one.plan) for one in choices())
    between = headline(choices(), (costs[0] + costs[1]) / 2)
    assert between is not None
    assert cost_s(between.plan) == costs[0]
    assert headline(choices(), costs[0] / 2) is None


def test_the_cost_of_a_proof_is_that_of_its_fewest_rounds() -> None:
    plan = choices()[-1].plan
    each = sum(option.predicted.value for _, option in plan.configurations)
    assert cost_s(plan) > ROUNDS * each


def test_a_proof_that_fails_leaves_one_line_and_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "four"
    store.save(path, four_cores())

    def refused(*arguments: object, rounds: int, **options: object) -> None:
        assert rounds == ROUNDS
        raise EnvironmentFault("the CPU quota throttled the instances")

    monkeypatch.setattr(quick, "verify", refused)
    with Interrupt() as interrupt:
        prove_headline(path, weights=None, trust=False, left_s=60.0, interrupt=interrupt)
        prove_headline(path, weights=None, trust=False, left_s=0.01, interrupt=interrupt)
    first, second = capsys.readouterr().err.strip().splitlines()
    assert "was not verified: the CPU quota throttled" in first
    assert "--verify" in second
    assert store.load(path).measurements == four_cores().measurements
