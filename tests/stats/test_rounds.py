"""Many things measured side by side in few rounds: what is named, and what is not."""

import math
import random
from collections.abc import Mapping, Sequence

import pytest

from coresplit.stats.difference import Contrast, decide, of_rounds
from coresplit.stats.rounds import against

OTHERS = 20
KINDS = {
    "alike": lambda drawn, first: 0.05,
    "each its own": lambda drawn, first: 0.05 * math.exp(drawn.gauss(0, 0.7)),
    "the first more": lambda drawn, first: 0.15 if first else 0.05,
    "the first less": lambda drawn, first: 0.02 if first else 0.06,
}


def made(
    drawn: random.Random, spreads: Mapping[str, float], rounds: int, slower: Mapping[str, float]
) -> list[dict[str, float]]:
    """Rounds on a machine whose speed drifts by a fifth; logs of what each thing took."""
    found = []
    for _ in range(rounds):
        drift = drawn.gauss(0, 0.2)
        found.append(
            {
                name: drift + drawn.gauss(0, spread) + math.log(slower.get(name, 1.0))
                for name, spread in spreads.items()
            }
        )
    return found


def named(contrasts: Sequence[Contrast]) -> int:
    return sum(each in ("faster", "slower") for each in decide(contrasts))


@pytest.mark.parametrize("rounds", [3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_of_things_that_are_alike_no_difference_is_named(kind: str, rounds: int) -> None:
    drawn, wrong, inside = random.Random(5), 0, 0
    for _ in range(100):
        spreads = {"first": KINDS[kind](drawn, True)}
        spreads |= {f"other {n}": KINDS[kind](drawn, False) for n in range(OTHERS)}
        found = against("first", [made(drawn, spreads, rounds, {})])
        wrong += named(list(found.values())) > 0
        inside += sum(each.bounds[0] <= 1 <= each.bounds[1] for each in found.values())
    # the false discovery rate is held at 1 %
    assert wrong <= 4
    assert inside / (100 * OTHERS) > 0.9


def test_five_rounds_show_what_they_would_not_show_by_themselves() -> None:
    drawn = random.Random(7)
    slower = {f"other {n}": 1.25 for n in range(0, OTHERS, 2)}
    spreads = dict.fromkeys(["first", *(f"other {n}" for n in range(OTHERS))], 0.05)
    together = alone = 0
    for _ in range(20):
        rounds = made(drawn, spreads, 5, slower)
        found = against("first", [rounds])
        relations = dict(zip(found, decide(list(found.values())), strict=True))
        assert all(relations[name] != "slower" for name in slower)
        together += sum(relations[name] == "faster" for name in slower)
        logs = {name: [each[name] - each["first"] for each in rounds] for name in slower}
        alone += named([of_rounds(each) for each in logs.values()])
    assert together > 180
    assert alone < 140


def test_groups_have_the_first_in_common_and_are_judged_together() -> None:
    drawn = random.Random(3)
    one = made(drawn, {"first": 0.02, "a": 0.02, "b": 0.02}, 4, {"a": 1.5})
    two = made(drawn, {"first": 0.02, "c": 0.02, "d": 0.02}, 4, {"c": 1 / 1.5})
    found = against("first", [one, two])
    assert list(found) == ["a", "b", "c", "d"]
    assert decide(list(found.values()))[0] == "faster"
    assert decide(list(found.values()))[2] == "slower"
    assert found["a"].log == pytest.approx(math.log(1.5), abs=0.05)
    assert {each.pairs for each in found.values()} == {4}


def test_two_things_in_few_rounds_are_judged_by_these_alone() -> None:
    rounds = [{"first": 0.0, "a": 0.25}, {"first": 0.25, "a": 0.5}, {"first": 0.5, "a": 0.625}]
    assert against("first", [rounds]) == {"a": of_rounds([0.25, 0.25, 0.125])}


def test_a_thing_that_scatters_does_not_make_the_others_uncertain() -> None:
    drawn = random.Random(2)
    rounds = made(drawn, {"first": 0.01, "a": 0.01, "wild": 0.6}, 8, {"a": 1.5})
    found = against("first", [rounds])
    assert decide(list(found.values())) == ["faster", "unclear"]
