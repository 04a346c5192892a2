"""Instances that run together, on a clock that only the fakes move."""

from collections.abc import Callable, Container

import pytest

from coresplit.errors import InstanceError, InstanceTimeout, LateStart
from coresplit.instance import Ensemble, FakeClock, FakeInstance, InstanceSpec, Pack, Timed
from coresplit.instance.interrupt import Interrupt
from coresplit.models import ModelSpec
from coresplit.records import Signs
from coresplit.stats.merge import side_by_side, signs_in_turn, signs_side_by_side

Formula = Callable[[InstanceSpec, int, int], float]


def instance(
    clock: FakeClock, cpu: int, formula: Formula, kind: type[FakeInstance] = FakeInstance
) -> FakeInstance:
    spec = InstanceSpec(
        model=ModelSpec(name="inception"), optimization="none", cpus=(cpu,), home=(cpu,)
    )
    return kind(spec, formula, clock)


def by_cpu(spec: InstanceSpec, batch: int, done: int) -> float:
    """0.1 s an input on core 0, 0.2 s on core 1, and so on."""
    return 0.1 * batch * (1 + spec.cpus[0])


def test_a_round_lasts_until_the_last_instance_has_ended() -> None:
    clock = FakeClock()
    ensemble = Ensemble([(instance(clock, 0, by_cpu), 3), (instance(clock, 1, by_cpu), 2)], clock)
    timed = ensemble.round(timeout=60)
    assert timed.durations == pytest.approx((0.4,))
    assert timed.copies[0] == pytest.approx((0.3, 0.4))
    assert timed.ended_at - timed.begun_at == pytest.approx(0.4)
    assert clock.now == pytest.approx(0.41)


class Late(FakeInstance):
    """Begins its first forward 50 ms late, as after making its inputs."""

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        batch, start_at, duration = self._begun
        if self._counts[batch] == 1:
            self._begun = batch, start_at + 0.05, duration
        return super().finish(timeout, interrupt)


def test_a_round_that_an_instance_began_late_is_repeated() -> None:
    clock = FakeClock()
    late = instance(clock, 1, by_cpu, Late)
    timed = Ensemble([(instance(clock, 0, by_cpu), 1), (late, 1)], clock).round(timeout=60)
    assert timed.durations == pytest.approx((0.2,))
    assert late._counts == {1: 2}


class AlwaysLate(FakeInstance):
    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        batch, start_at, duration = self._begun
        self._begun = batch, start_at + 0.05, duration
        return super().finish(timeout, interrupt)


def test_a_round_that_is_late_again_and_again_is_no_data() -> None:
    clock = FakeClock()
    late = instance(clock, 0, by_cpu, AlwaysLate)
    ensemble = Ensemble([(late, 1)], clock)
    with pytest.raises(LateStart, match=r"could not be started together: one began 50\.0 ms late"):
        ensemble.round(timeout=60)
    assert late._counts == {1: 4}
    timed, late_s = ensemble.attempt(timeout=60)
    assert timed.durations == pytest.approx((0.15,))
    assert late_s == pytest.approx(0.05)


def test_a_late_round_is_not_repeated_once_an_end_is_asked_for() -> None:
    clock = FakeClock()
    late = instance(clock, 0, by_cpu, AlwaysLate)
    with Interrupt() as interrupt:
        interrupt.request()
        with pytest.raises(LateStart):
            Ensemble([(late, 1)], clock).round(timeout=60, interrupt=interrupt)
    assert late._counts == {1: 1}


class LateAt(FakeInstance):
    """Begins the forwards of these numbers 50 ms late."""

    numbers: Container[int] = ()

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        batch, start_at, duration = self._begun
        if self._counts[batch] in self.numbers:
            self._begun = batch, start_at + 0.05, duration
        return super().finish(timeout, interrupt)


def pack_late_at(clock: FakeClock, numbers: Container[int]) -> Pack:
    late = instance(clock, 1, by_cpu, LateAt)
    assert isinstance(late, LateAt)
    late.numbers = numbers
    return Pack([instance(clock, 0, by_cpu), late], clock)


def test_a_pack_leaves_out_the_rounds_that_could_not_be_started_together() -> None:
    timed = pack_late_at(FakeClock(), range(2, 6)).time_forward_passes(
        1, count=3, seconds=60, timeout=60
    )
    assert timed.durations == pytest.approx((0.2, 0.2))
    assert [each == pytest.approx((0.1, 0.2)) for each in timed.copies] == [True, True]
    assert timed.evidence.forwards == 4


def test_a_visit_without_any_round_started_together_fails_and_says_why() -> None:
    clock = FakeClock()
    with pytest.raises(InstanceError, match="could not be started together") as caught:
        pack_late_at(clock, range(100)).time_forward_passes(1, count=3, seconds=60, timeout=60)
    assert "\n" not in str(caught.value)
    with pytest.raises(LateStart):
        pack_late_at(clock, range(1, 5)).time_forward_passes(1, count=3, seconds=0.1, timeout=60)


def test_a_late_warm_up_round_counts_as_one() -> None:
    timed = pack_late_at(FakeClock(), (1,)).time_forward_passes(1, 2, 60, 60, warmup=1)
    assert timed.warmup == pytest.approx((0.25,))
    assert timed.durations == pytest.approx((0.2, 0.2))


def test_the_error_of_any_instance_comes_through() -> None:
    def failing(spec: InstanceSpec, batch: int, done: int) -> float:
        if spec.cpus == (1,):
            raise InstanceError("out of order")
        return 0.1

    clock = FakeClock()
    ensemble = Ensemble([(instance(clock, 0, failing), 1), (instance(clock, 1, failing), 1)], clock)
    with pytest.raises(InstanceError, match="out of order"):
        ensemble.round(timeout=60)
    ensemble.close()


def test_a_round_past_its_deadline_ends_the_instance() -> None:
    clock = FakeClock()
    slow = instance(clock, 9, by_cpu)
    with pytest.raises(InstanceTimeout):
        Ensemble([(slow, 1)], clock).round(timeout=0.5)
    assert slow.closed


def test_a_pack_counts_rounds_as_an_instance_counts_forwards() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, by_cpu) for cpu in (0, 1)], clock)
    assert pack.wait_ready().memory == 2 * 101_000_000
    timed = pack.time_forward_passes(batch=2, count=3, seconds=60, timeout=60)
    assert timed.durations == pytest.approx((0.4, 0.4, 0.4))
    assert len(timed.copies) == 3
    assert all(each == pytest.approx((0.2, 0.4)) for each in timed.copies)
    assert timed.evidence.forwards == 6
    assert timed.evidence.visits == 1


def slow_at_first(spec: InstanceSpec, batch: int, done: int) -> float:
    return 0.5 if done == 0 else 0.2


@pytest.mark.parametrize("copies", [1, 2])
def test_a_warm_up_is_apart_and_the_seconds_count_from_its_end(copies: int) -> None:
    clock = FakeClock()
    each = [instance(clock, cpu, slow_at_first) for cpu in range(copies)]
    tested = Pack(each, clock) if copies > 1 else each[0]
    timed = tested.time_forward_passes(1, count=9, seconds=0.5, timeout=60, warmup=2)
    assert timed.warmup == pytest.approx((0.5, 0.2))
    assert timed.durations == pytest.approx((0.2, 0.2, 0.2))
    assert timed.evidence.forwards == 3 * copies
    assert timed.evidence.wall_s == pytest.approx(0.6)
    assert [one._counts for one in each] == [{1: 5}] * copies


@pytest.mark.parametrize("copies", [1, 2])
def test_the_timeout_counts_from_the_beginning_of_the_warm_up(copies: int) -> None:
    clock = FakeClock()
    each = [instance(clock, cpu, slow_at_first) for cpu in range(copies)]
    tested = Pack(each, clock) if copies > 1 else each[0]
    with pytest.raises(InstanceTimeout):
        tested.time_forward_passes(1, count=1, seconds=60, timeout=0.6, warmup=1)
    assert all(one.closed for one in each) == (copies == 1)
    assert 0.6 <= clock.now < 0.7


def test_a_forward_of_the_warm_up_can_time_out() -> None:
    clock = FakeClock()
    with pytest.raises(InstanceTimeout):
        instance(clock, 0, slow_at_first).time_forward_passes(1, 1, 60, timeout=0.3, warmup=1)
    assert clock.now == pytest.approx(0.3)


def test_an_interrupted_pack_still_has_its_warm_up_before_its_round() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, slow_at_first) for cpu in (0, 1)], clock)
    with Interrupt() as interrupt:
        interrupt.request()
        timed = pack.time_forward_passes(1, 9, 60, 60, interrupt, warmup=2)
    assert len(timed.warmup) == 2
    assert timed.durations == pytest.approx((0.2,))


def test_a_pack_starts_no_round_after_its_seconds() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, by_cpu) for cpu in (0, 1)], clock)
    assert len(pack.time_forward_passes(batch=1, count=9, seconds=0.5, timeout=60).durations) == 3
    with pytest.raises(InstanceTimeout):
        pack.time_forward_passes(batch=1, count=9, seconds=60, timeout=0.7)


def test_an_interrupted_pack_ends_after_the_round() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, by_cpu) for cpu in (0, 1)], clock)
    with Interrupt() as interrupt:
        interrupt.request()
        timed = pack.time_forward_passes(1, count=9, seconds=60, timeout=60, interrupt=interrupt)
    assert len(timed.durations) == 1


def test_evidence_of_instances_side_by_side_is_a_sum_where_it_can_be() -> None:
    clock = FakeClock()
    each = []
    for cpu in (0, 1):
        one = instance(clock, cpu, by_cpu)
        one.begin(1, 0.0)
        each.append(one.finish(60).evidence)
    both = side_by_side(each)
    assert both.forwards == 2
    assert both.wall_s == pytest.approx(0.2)
    assert both.user_s == pytest.approx(0.3)
    assert both.minor_faults == 2000
    assert both.peak_memory == 2 * 101_000_000
    assert both.thread_cores == ("0", "1")
    assert (both.visits, both.threads) == (1, 1)


def test_a_closed_pack_has_no_open_copy() -> None:
    clock = FakeClock()
    copies = [instance(clock, cpu, by_cpu) for cpu in (0, 1)]
    Pack(copies, clock).close()
    assert all(copy.closed for copy in copies)


def test_of_instances_side_by_side_the_most_disturbed_one_stands() -> None:
    quiet = Signs(wall_s=1.0, waited_s=0.01, core=0, major_faults=2, clock_hz=3e9)
    busy = Signs(wall_s=2.0, waited_s=1.0, core=1, major_faults=3, sibling=5, sibling_s=1.5)
    found = signs_side_by_side([quiet, busy, None])
    assert found is not None
    assert (found.wall_s, found.waited_s, found.core) == (2.0, 1.0, 1)
    assert (found.major_faults, found.sibling, found.clock_hz) == (5, 5, 3e9)
    assert signs_side_by_side([None, None]) is None


def test_rounds_one_after_another_add_up_and_the_worst_names_the_core() -> None:
    rounds = [
        Signs(wall_s=1.0, waited_s=0.0, core=0, switches=1, clock_begin_hz=2e9, clock_hz=2e9),
        Signs(wall_s=1.0, waited_s=0.5, core=1, switches=2, clock_hz=3e9),
    ]
    found = signs_in_turn(rounds)
    assert found is not None
    assert (found.wall_s, found.waited_s, found.core, found.switches) == (2.0, 0.5, 1, 3)
    assert (found.clock_begin_hz, found.clock_hz) == (2e9, 3e9)
    assert signs_in_turn([None]) is None


def test_a_pack_tells_which_of_its_copies_was_disturbed() -> None:
    clock = FakeClock()

    def signs(spec: InstanceSpec, at: float, wall_s: float) -> Signs:
        held = 0.5 if spec.cpus == (1,) else 0.0
        return Signs(wall_s=wall_s, waited_s=held * wall_s, core=spec.cpus[0])

    copies = [
        FakeInstance(
            InstanceSpec(
                model=ModelSpec(name="inception"), optimization="none", cpus=(cpu,), home=(cpu,)
            ),
            by_cpu,
            clock,
            signs=signs,
        )
        for cpu in (0, 1)
    ]
    found = Pack(copies, clock).time_forward_passes(1, 3, 60.0, 60.0).signs
    assert found is not None
    assert found.core == 1
    assert found.waited_s == pytest.approx(0.5 * found.wall_s)
