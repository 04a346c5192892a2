"""Instances that run together, on a clock that only the fakes move."""

from collections.abc import Callable

import pytest

from coresplit.errors import InstanceError, InstanceTimeout
from coresplit.instance import Ensemble, FakeClock, FakeInstance, InstanceSpec, Pack, Timed
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.tally import side_by_side
from coresplit.models import ModelSpec

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


def test_an_instance_that_is_late_again_and_again_is_taken_as_it_is() -> None:
    clock = FakeClock()
    late = instance(clock, 0, by_cpu, AlwaysLate)
    timed = Ensemble([(late, 1)], clock).round(timeout=60)
    assert timed.durations == pytest.approx((0.15,))
    assert late._counts == {1: 4}


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
    timed = pack.forwards(batch=2, count=3, seconds=60, timeout=60)
    assert timed.durations == pytest.approx((0.4, 0.4, 0.4))
    assert len(timed.copies) == 3
    assert all(each == pytest.approx((0.2, 0.4)) for each in timed.copies)
    assert timed.evidence.forwards == 6
    assert timed.evidence.visits == 1


def test_a_pack_starts_no_round_after_its_seconds() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, by_cpu) for cpu in (0, 1)], clock)
    assert len(pack.forwards(batch=1, count=9, seconds=0.5, timeout=60).durations) == 3
    with pytest.raises(InstanceTimeout):
        pack.forwards(batch=1, count=9, seconds=60, timeout=0.7)


def test_an_interrupted_pack_ends_after_the_round() -> None:
    clock = FakeClock()
    pack = Pack([instance(clock, cpu, by_cpu) for cpu in (0, 1)], clock)
    with Interrupt() as interrupt:
        interrupt.request()
        timed = pack.forwards(1, count=9, seconds=60, timeout=60, interrupt=interrupt)
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
