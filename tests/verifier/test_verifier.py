"""Verifications with fake instances: exact rounds, in order, on the right cores."""

import itertools
import math
from collections.abc import Callable, Container

import pytest

from coresplit.errors import EnvironmentFault, InstanceTimeout, RunError
from coresplit.instance import (
    FakeClock,
    FakeHost,
    FakeInstance,
    InstanceSpec,
    Interrupt,
    Ready,
    Timed,
)
from coresplit.machine.placement import place_together
from coresplit.models import ModelSpec
from coresplit.planner import Plan, Profile, ProfilePoint, outcome_of, plan, verifications_of
from coresplit.records import Core, Disturbed, Signs, Variant, Verification
from coresplit.stats.variance import Variance
from coresplit.verifier import Verifier

VARIANCE = Variance(between=0.0, within=0.01, df=50.0)
CORES = tuple(Core(cpu=cpu) for cpu in range(4))
LATENCIES = {(4, 8): 0.8, (2, 4): 0.5, (2, 8): 0.9, (1, 2): 0.6, (1, 8): 2.0}


def planned(latencies: dict[tuple[int, int], float] = LATENCIES, batch: int = 8) -> Plan:
    profile = Profile(
        variant=Variant("script"),
        cells={cell: ProfilePoint(latency=latency) for cell, latency in latencies.items()},
    )
    found = plan(profile, 4, batch)
    assert found is not None
    return found


class Member(FakeInstance):
    """A fake whose forwards, numbered from 1, begin as many seconds late as ``late`` says."""

    begun = 0
    late: Callable[[InstanceSpec, int], float]

    def begin(self, batch: int, start_at: float) -> None:
        self.begun += 1
        super().begin(batch, start_at)

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        batch, start_at, duration = self._begun
        self._begun = batch, start_at + self.late(self.spec, self.begun), duration
        return super().finish(timeout, interrupt)


class Bench:
    """Fake instances of a verification: what was started, logged and said."""

    def __init__(
        self,
        formula: Callable[[InstanceSpec, int, int], float] = lambda spec, batch, done: LATENCIES[
            spec.threads, batch
        ],
        throttled: Callable[[InstanceSpec, int], int] = lambda spec, batch: 0,
    ) -> None:
        self.clock = FakeClock()
        self.formula = formula
        self.throttled = throttled
        self.held: Callable[[float], float] = lambda at: 0.0
        self.heard: list[str] = []
        self.late: Callable[[InstanceSpec, int], float] = lambda spec, number: 0.0
        self.instances: list[Member] = []
        self.logged: list[Verification] = []
        self.said: list[str] = []

    def log(self, entry: Verification | Disturbed) -> None:
        if isinstance(entry, Disturbed):
            self.heard.append(entry.reason)
        else:
            self.logged.append(entry)

    def start(self, variant: Variant, cpus: tuple[int, ...]) -> Member:
        spec = InstanceSpec(
            model=ModelSpec(name="inception"), optimization="script", cpus=cpus, home=cpus
        )
        instance = Member(
            spec, self.formula, self.clock, throttled=self.throttled, signs=self.signs
        )
        instance.late = self.late
        self.instances.append(instance)
        return instance

    def signs(self, spec: InstanceSpec, at: float, wall_s: float) -> Signs:
        return Signs(wall_s=wall_s, waited_s=self.held(at) * wall_s, core=spec.cpus[0])

    def run(
        self,
        plan: Plan,
        *,
        budget_s: float = 60.0,
        rounds: int | None = None,
        accept: Callable[[Ready], None] = lambda ready: None,
        memory: int = 10**12,
        peak: Callable[[int, int], int] = lambda threads, batch: 0,
        interrupt: Interrupt | None = None,
        keep_disturbed: bool = False,
    ) -> Verification:
        Verifier(
            plan,
            FakeHost(
                self.clock,
                start_on=self.start,
                place=lambda threads, mapping: place_together(CORES, threads, mapping),
                available_memory=lambda: memory,
            ),
            self.log,
            accept=accept,
            peak_memory=peak,
            budget_s=budget_s,
            rounds=rounds,
            interrupt=interrupt,
            on_progress=self.said.append,
            keep_disturbed=keep_disturbed,
        ).run()
        (found,) = verifications_of(self.logged)
        return found


def test_split_fat_and_thin_are_run_in_every_round() -> None:
    bench = Bench()
    found = bench.run(planned())
    assert {trial.name: str(trial.split) for trial in found.trials} == {
        "split": "<2, 2, 4>",
        "fat": "<1, 4, 8>",
        "thin": "<4, 1, 2>",
    }
    for trial, latency in zip(found.trials, (0.5, 0.8, 0.6), strict=True):
        assert len(trial.samples) == 10
        assert trial.samples == pytest.approx([latency] * 10)
        assert trial.predicted is not None
        assert trial.predicted.value == latency


def test_every_instance_has_cores_of_its_own_within_its_configuration() -> None:
    bench = Bench()
    bench.run(planned())
    assert sorted(instance.spec.cpus for instance in bench.instances) == [
        (0,), (0, 1), (0, 1, 2, 3), (1,), (2,), (2, 3), (3,),
    ]  # fmt: skip
    assert all(instance.closed for instance in bench.instances)


def test_configurations_share_the_instances_of_the_same_cores_and_batch() -> None:
    latencies = {(4, 8): 2.0, (2, 4): 0.7, (1, 2): 0.5, (1, 4): 1.0}
    bench = Bench(lambda spec, batch, done: latencies[spec.threads, batch])
    found = bench.run(planned(latencies))
    assert [trial.name for trial in found.trials] == ["split", "fat"]
    assert len(bench.instances) == 5


def test_the_latency_of_a_round_is_that_of_its_slowest_instance() -> None:
    def formula(spec: InstanceSpec, batch: int, done: int) -> float:
        return LATENCIES[spec.threads, batch] + (0.05 if spec.cpus == (2, 3) else 0.0)

    found = Bench(formula).run(planned())
    assert found.trials[0].samples == pytest.approx([0.55] * 10)


def test_a_rival_that_is_faster_refutes_the_plan() -> None:
    def formula(spec: InstanceSpec, batch: int, done: int) -> float:
        return {4: 0.4, 2: 0.5, 1: 0.6}[spec.threads]

    outcome = outcome_of(Bench(formula).run(planned()), VARIANCE)
    assert outcome.verdict == "refuted"
    assert outcome.speedups["fat"].ratio == pytest.approx(0.8)
    assert outcome.measured["fat"].error == pytest.approx(1.0)


def test_rounds_end_with_the_budget_and_there_is_at_least_one() -> None:
    assert len(Bench().run(planned(), budget_s=12.0).trials[0].samples) == 5
    assert len(Bench().run(planned(), budget_s=0.001).trials[0].samples) == 1


def test_the_fewest_rounds_asked_for_are_run_whatever_the_budget_says() -> None:
    found = Bench().run(planned(), budget_s=0.001, rounds=3)
    assert len(found.trials[0].samples) == 3
    assert len(Bench().run(planned(), rounds=12).trials[0].samples) == 12


def test_noisy_rounds_go_on_until_their_intervals_are_narrow_or_there_are_enough() -> None:
    def formula(spec: InstanceSpec, batch: int, done: int) -> float:
        return LATENCIES[spec.threads, batch] * (1 + 0.2 * (done % 2) * (spec.threads == 4))

    assert len(Bench(formula).run(planned(), budget_s=1e6).trials[0].samples) == 60


def test_every_round_is_logged_as_it_ends() -> None:
    bench = Bench()
    bench.run(planned())
    assert [len(entry.trials[0].samples) for entry in bench.logged] == [1] * 10
    assert len({entry.at for entry in bench.logged}) == 1


def test_an_interrupt_keeps_the_rounds_that_are_complete() -> None:
    bench = Bench()
    with Interrupt() as interrupt:

        def formula(spec: InstanceSpec, batch: int, done: int) -> float:
            if done == 5:
                interrupt.request()
            return LATENCIES[spec.threads, batch]

        bench.formula = formula
        found = bench.run(planned(), interrupt=interrupt)
    assert 2 <= len(found.trials[0].samples) <= 3
    assert len({len(trial.samples) for trial in found.trials}) == 1


def test_a_throttled_round_is_left_out_and_a_quota_that_goes_on_is_told() -> None:
    def forwards(*throttled: int) -> int:
        """How many there were, all in all, when those of these numbers were throttled."""
        numbers = itertools.count(1)
        bench = Bench(throttled=lambda spec, batch: int(next(numbers) in throttled))
        assert len(bench.run(planned()).trials[0].samples) == 10
        return next(numbers) - 1

    assert forwards(30, 31) == forwards() + 7
    with pytest.raises(EnvironmentFault, match="the CPU quota throttled the instances"):
        Bench(throttled=lambda spec, batch: 1).run(planned())


def test_disturbed_rounds_are_repeated_while_there_are_not_more_of_them_than_others() -> None:
    bench = Bench()
    bench.held = lambda at: 0.4 if 8.0 < at < 15.0 else 0.0
    assert len(bench.run(planned()).trials[0].samples) == 10
    assert 1 <= len(bench.heard) <= 10
    assert "40 % of core" in bench.heard[0]


def test_a_machine_that_is_busy_all_along_proves_nothing_and_says_why() -> None:
    bench = Bench()
    bench.held = lambda at: 0.4
    with pytest.raises(
        EnvironmentFault, match=r"another process held 40 % of core.*stop other programs"
    ):
        bench.run(planned())
    assert bench.logged == []


def test_on_cores_that_are_meant_to_be_shared_disturbed_rounds_are_kept_and_told() -> None:
    bench = Bench()
    bench.held = lambda at: 0.4
    assert len(bench.run(planned(), keep_disturbed=True).trials[0].samples) >= 3
    assert "40 % of core" in bench.heard[0]


def test_a_round_begun_late_is_left_out_and_a_machine_that_stays_busy_is_told() -> None:
    def bench(late: Container[int]) -> Bench:
        """Of the forwards of the instance on all cores those of these numbers begin late."""
        found = Bench()
        found.late = lambda spec, number: 0.05 * (spec.threads == 4 and number in late)
        return found

    # two to warm up; then all four attempts of the first two rounds, and one attempt of the third
    tried = bench(range(3, 12))
    assert len(tried.run(planned()).trials[0].samples) == 10
    (fat,) = [each for each in tried.instances if each.spec.threads == 4]
    assert fat.begun == 2 + 2 * 4 + 2 + 9
    never = bench(range(3, 1000))
    with pytest.raises(EnvironmentFault, match=r"not be started together.*stop other programs"):
        never.run(planned())
    assert never.logged == []
    assert all(instance.closed for instance in never.instances)


def test_a_warm_up_may_begin_late() -> None:
    bench = Bench()
    bench.late = lambda spec, number: 0.05 * (number <= 4)
    assert len(bench.run(planned()).trials[0].samples) == 10


def test_too_little_memory_is_told_before_the_others_are_started() -> None:
    bench = Bench()
    with pytest.raises(
        EnvironmentFault, match=r"needs 7 instances of .* at once, but only 477 MiB"
    ):
        bench.run(planned(), memory=500_000_000)
    assert [instance.closed for instance in bench.instances] == [True]


def test_the_memory_of_the_forwards_is_that_of_one_configuration_at_a_time() -> None:
    each, forward = Bench().start(Variant("script"), (0,)).wait_ready().memory, 10**9
    # six more instances, of which the four of thin compute at the same time
    needed = (6 * each + 4 * forward) / 0.9
    Bench().run(planned(), memory=int(needed) + 1, peak=lambda threads, batch: each + forward)
    with pytest.raises(EnvironmentFault, match=r"and 3\.73 GiB for their forwards, but only"):
        Bench().run(planned(), memory=int(needed) - 1, peak=lambda threads, batch: each + forward)


def test_threads_that_spin_on_have_ended_when_the_next_configuration_begins() -> None:
    bench = Bench()
    bench.run(planned())
    # 2 rounds to warm up and 10 that count, of three configurations; the clock counts no other time
    assert bench.clock.now >= 12 * (0.5 + 0.8 + 0.6 + 3 * 0.1)


def test_another_model_is_refused_before_anything_is_run() -> None:
    def refuse(ready: Ready) -> None:
        raise RunError(f"weights {ready.weights} are not those of the run")

    bench = Bench()
    with pytest.raises(RunError, match="weights fake are not"):
        bench.run(planned(), accept=refuse)
    assert len(bench.instances) == 1
    assert bench.instances[0].closed


def test_a_forward_that_hangs_ends_all_instances() -> None:
    def formula(spec: InstanceSpec, batch: int, done: int) -> float:
        return math.inf if spec.threads == 4 and done == 4 else LATENCIES[spec.threads, batch]

    bench = Bench(formula)
    with pytest.raises(InstanceTimeout):
        bench.run(planned())
    assert all(instance.closed for instance in bench.instances)


def test_one_core_has_nothing_to_compare_with() -> None:
    profile = Profile(
        variant=Variant("script"),
        cells={(1, 8): ProfilePoint(latency=1.0)},
    )
    only = plan(profile, 1, 8)
    assert only is not None
    outcome = outcome_of(Bench(lambda spec, batch, done: 1.0).run(only), VARIANCE)
    assert outcome.speedups == {}
    assert outcome.verdict == "tied"
