"""The search for the highest rate that holds, and who takes part in it. No server is started."""

import msgspec
import pytest
from compared import share_within
from comparisons import a_comparison
from highest_rate import STRIDE, best_of, highest
from hypothesis import given
from hypothesis import strategies as st
from targets import Target, punctual


def a_target(name: str) -> Target:
    return Target(
        name=name, setting="default", command=("serve",), port=1, path="/", form="raw", shape=(1,)
    )


def test_only_peers_that_can_refuse_what_is_late_are_told_the_latency() -> None:
    told = punctual(a_target("triton"), queued_s=0.15, answered_s=0.225)
    assert (told.command, told.label) == (
        ("serve", "--timeout-ms", "150"),
        "triton, default, timeout",
    )
    assert punctual(a_target("mosec"), queued_s=0.15, answered_s=0.225).command[-1] == "225"
    assert punctual(a_target("fastapi"), queued_s=0.15, answered_s=0.225) == a_target("fastapi")


@given(last=st.integers(-50, 20), low=st.integers(-40, 0), width=st.integers(0, 50))
def test_the_last_that_holds_is_found_from_above_in_few_trials(
    last: int, low: int, width: int
) -> None:
    tried = []

    def holds(power: int) -> bool:
        tried.append(power)
        return power <= last

    high = low + width
    assert highest(holds, low, high) == max(low - 1, min(high, last))
    assert len(tried) == len(set(tried)) <= max(0, high - max(low, last)) // STRIDE + 4
    assert min(tried) > min(last, high) - STRIDE or last < low
    assert all(low <= power <= high for power in tried)


def test_each_peer_takes_part_once_in_its_best_setting_and_coresplit_is_no_peer() -> None:
    made = a_comparison()
    settings = {"half": "peer", "double": "peer", "twin": "other", "wild": "third"}
    comparison = msgspec.structs.replace(
        made,
        servers=tuple(
            msgspec.structs.replace(each, name=settings.get(each.label, each.name))
            for each in made.servers
        ),
    )
    assert best_of(comparison, 9)[0] == "double"
    assert sorted(best_of(comparison, 9)) == ["double", "twin", "wild"]
    assert best_of(comparison, 1) == ["double"]


def test_the_share_of_answers_within_a_latency_is_that_of_all_rounds() -> None:
    # a round has multiples of 4 ms up to 200, the next one of 8 ms up to 400
    made = a_comparison(rounds=2, answered=50)
    assert share_within(made, "half", "medium", 0.0501) == pytest.approx(0.18, abs=0.011)
    assert share_within(made, "half", "medium", 1.0) == 1.0
    assert share_within(made, "no such server", "medium", 1.0) == 0.0
