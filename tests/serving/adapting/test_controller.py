"""When other instances are wanted: steps, constant loads, days and spikes."""

import pytest

from coresplit.serving.adapting import shadow
from coresplit.serving.adapting.controller import Controller, Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.paces import Paces
from coresplit.serving.adapting.packrat import PackratRule, PackratSwitcher
from coresplit.serving.adapting.shadow import Shadow
from coresplit.serving.adapting.simulation import Replay, simulate
from coresplit.serving.adapting.sources import Arrival, Closed, Open, Source

from .loads import SPLITS, constant, diurnal, ramp, spiky

LOOK_S = 0.25


def adapted(source: Source, first: str = "fat", rules: Rules = Rules()) -> Replay:  # noqa: B008
    controller = Controller(SPLITS, first, rules)
    return simulate(SPLITS, source, first=first, switcher=controller, look_s=LOOK_S)


@pytest.mark.parametrize("rate", [4, 10, 14])
def test_a_constant_load_is_not_left_again_for_an_hour(rate: float) -> None:
    for first in SPLITS:
        assert len(adapted(Open(constant(rate, 3600)), first).switches) <= 1


def test_clients_that_become_many_get_the_other_split_within_a_second() -> None:
    # a lull is long enough to be worth what the next crowd loses at a change
    found = adapted(Closed([(300, 1), (30, 32)] * 4))
    ups = [at for at, name in found.switches if name == "thin"]
    assert [at - 300 - 330 * turn <= 1.0 for turn, at in enumerate(ups)] == [True] * 4
    downs = [at for at, name in found.switches if name == "fat"]
    assert downs[0] - 330 <= 6.0
    assert len(downs) >= 3


@pytest.mark.parametrize(
    ("name", "arrivals"),
    [
        ("ramp", ramp(1, 20, 1800)),
        ("diurnal", diurnal(1, 18, 600, 3600)),
        ("spiky", spiky(2, 18, 120, 30, 1800)),
        ("lulls", spiky(14, 1, 300, 150, 1800)),
    ],
)
def test_a_changing_load_is_served_about_as_well_as_by_the_best_split(
    name: str, arrivals: list[Arrival]
) -> None:
    fixed = [simulate(SPLITS, Open(arrivals), first=each) for each in SPLITS]
    found = adapted(Open(arrivals))
    # never much worse than a choice that knew the whole load, and far from the worse of the two
    assert found.mean < 1.02 * min(each.mean for each in fixed)
    assert found.quantile(0.99) < 1.1 * min(each.quantile(0.99) for each in fixed)
    assert found.mean < 0.8 * max(each.mean for each in fixed)


@pytest.mark.parametrize(("fat", "thin"), [(1.5, 1.0), (1.5, 1.2), (1.0, 1.5)])
def test_a_split_that_is_slower_than_its_profile_is_found_out(fat: float, thin: float) -> None:
    """The profile is from another hour, or a process has got worse memory."""

    class Believing(Controller):
        def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
            pass

    real = {"fat": SPLITS["fat"].paced(fat), "thin": SPLITS["thin"].paced(thin)}
    arrivals = diurnal(1, 16, 300, 1800)
    fixed = [simulate(real, Open(arrivals), first=each) for each in real]
    found, blind = (
        simulate(real, Open(arrivals), first="fat", switcher=kind(SPLITS, "fat"))
        for kind in (Controller, Believing)
    )
    best = min(each.mean for each in fixed)
    assert found.mean < 1.1 * best
    assert found.quantile(0.99) < 1.2 * min(each.quantile(0.99) for each in fixed)
    assert found.mean <= blind.mean
    assert found.quantile(0.99) <= blind.quantile(0.99)


def test_what_changes_while_a_candidate_serves_is_the_machine_and_at_a_switch_its_own() -> None:
    paces = Paces(["fat", "thin"])
    for _ in range(500):
        paces.took("fat", 1.2)
    assert paces.of("fat") == paces.of("thin") == pytest.approx(1.2, rel=1e-3)
    paces.switched()
    for _ in range(500):
        paces.took("thin", 0.6)
    assert paces.of("thin") == pytest.approx(0.6, rel=1e-3)
    # 100 batches tell most of its own pace, and the rest is left to the machine
    assert 1.0 < paces.of("fat") < 1.2
    paces.took("thin", 1e9)
    assert paces.of("thin") == pytest.approx(0.6 + 0.02 * (4.0 - 0.6), rel=0.01)


def test_a_latency_that_must_be_held_takes_the_fewest_cores_that_hold_it() -> None:
    rules = Rules(slo_s=0.5, cores={"fat": 2, "thin": 1})
    assert [name for _, name in adapted(Open(constant(3, 600)), rules=rules).switches] == ["thin"]
    tight = Rules(slo_s=0.08, cores={"fat": 2, "thin": 1})
    assert adapted(Open(constant(3, 600)), rules=tight).switches == ()


def test_a_switch_that_takes_long_is_made_for_a_load_that_lasts() -> None:
    slow = Rules(switch_s={"thin": 20.0})
    short = adapted(Closed([(30, 1), (3, 32), (30, 1)]), rules=slow)
    assert short.switches == ()
    assert adapted(Closed([(30, 1), (60, 32)]), rules=slow).switches[0][1] == "thin"


def test_the_cost_of_a_long_queue_follows_from_its_first_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cost(candidate: Candidate) -> float:
        found = Shadow(candidate, lambda latency: latency**2)
        for n in range(1000):
            found.arrive(0.001 * n, 1)
        return found.total()

    costs = [cost(each) for each in SPLITS.values()]
    monkeypatch.setattr(shadow, "_AHEAD", 1000)
    assert costs == pytest.approx([cost(each) for each in SPLITS.values()], rel=0.03)


def test_the_rule_of_packrat_takes_the_power_of_two_below_the_usual_load() -> None:
    rule = PackratRule()
    assert [rule.observe(1) for _ in range(3)] == [1, 1, 1]
    found = [rule.observe(33) for _ in range(12)]
    assert found[0] == 1
    assert found[-1] == 32
    assert found == sorted(found)


def test_who_follows_that_rule_has_what_the_largest_batch_below_it_takes() -> None:
    switcher = PackratSwitcher({1: "fat", 8: "thin"}, "fat")
    found = simulate(
        SPLITS,
        Closed([(20, 1), (30, 32), (30, 1)]),
        first="fat",
        switcher=switcher,
        look_s=LOOK_S,
    )
    assert [name for _, name in found.switches] == ["thin", "fat"]
    up, down = (at for at, _ in found.switches)
    # the mode of ten estimates, one a second, is late by about half of them
    assert 24 < up < 28
    assert 54 < down < 62


def test_a_rule_without_instances_for_a_single_input_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 1"):
        PackratSwitcher({2: "fat"}, "fat")
