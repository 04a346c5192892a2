"""A replayed load: exact times, and the same requests whatever happens on the way."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.simulation import Replay, simulate
from coresplit.serving.adapting.sources import Arrival, Closed, Open
from coresplit.serving.dividing import Latencies

from .loads import SPLITS, constant


def alone(candidate: Candidate, arrivals: list[Arrival]) -> Replay:
    return simulate({"one": candidate}, Open(arrivals), first="one")


def test_requests_wait_for_the_only_instance_and_are_gathered() -> None:
    known = Latencies({(1, 1): 1.0, (1, 2): 1.5})
    found = alone(
        Candidate(threads=(1,), most_rows=2, busy=known), [(0.0, 1), (0.2, 1), (0.4, 1), (0.6, 1)]
    )
    # the first alone until 1.0, the next two together until 2.5, the last until 3.5
    assert found.latencies == pytest.approx((1.0, 2.3, 2.1, 2.9))
    assert found.seconds == pytest.approx(3.5)
    assert found.rows == 4
    assert found.quantile(0.5) == pytest.approx(2.1)


def test_a_large_request_is_cut_over_instances_and_ends_with_its_last_part() -> None:
    known = Latencies({(1, 1): 1.0, (1, 2): 1.8, (2, 1): 0.5, (2, 2): 1.0, (2, 3): 1.5})
    candidate = Candidate(threads=(2, 1), most_rows=3, busy=known, overhead_s=0.25)
    assert alone(candidate, [(2.0, 3)]).latencies == pytest.approx((1.25,))


def test_an_instance_is_faster_beside_idle_ones_where_that_is_known() -> None:
    busy, idle = Latencies({(1, 1): 1.0}), Latencies({(1, 1): 0.6})
    candidate = Candidate(threads=(1, 1), most_rows=1, busy=busy, alone=idle)
    assert alone(candidate, [(0.0, 1)]).latencies == pytest.approx((0.6,))
    assert alone(candidate, [(0.0, 1), (0.1, 1)]).latencies == pytest.approx((0.6, 1.0))


def test_clients_send_again_when_they_are_answered_and_leave_when_there_are_fewer() -> None:
    one = Candidate(threads=(1,), most_rows=1, busy=Latencies({(1, 1): 1.0}))
    found = simulate({"one": one}, Closed([(3.5, 2), (3.0, 1)]), first="one")
    assert found.arrivals == pytest.approx((0.0, 0.0, 1.0, 2.0, 3.0, 5.0, 6.0))
    assert found.latencies == pytest.approx((1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0))


class Once:
    """Wants other instances after a second."""

    def arrived(self, at: float, rows: int) -> None:
        pass

    def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
        pass

    def look(self, at: float, in_system: int) -> str | None:
        return "others" if at == 1.0 else None

    def switched(self, at: float, name: str) -> None:
        pass


@pytest.mark.parametrize(
    ("threads", "latencies"),
    [
        # the core beside the one that is computed on is free at once
        ((1, 1), (4.0, 2.4, 3.3)),
        # one that needs both cores waits for the first
        ((2,), (4.0, 4.9, 5.8)),
    ],
)
def test_others_take_over_what_waits_on_cores_where_nothing_is_computed(
    threads: tuple[int, ...], latencies: tuple[float, ...]
) -> None:
    slow = Candidate(threads=(1,), most_rows=1, busy=Latencies({(1, 1): 4.0}))
    known = Latencies({(1, 1): 1.0, (2, 1): 1.0})
    others = Candidate(threads=threads, most_rows=1, busy=known)
    found = simulate(
        {"slow": slow, "others": others},
        Open([(0.0, 1), (0.1, 1), (0.2, 1)]),
        first="slow",
        switcher=Once(),
        look_s=1.0,
        switch_s=0.5,
    )
    assert found.switches == ((1.5, "others"),)
    assert found.latencies == pytest.approx(latencies)


def test_a_row_that_waits_for_a_faster_instance_goes_elsewhere_once_that_is_late() -> None:
    known = Latencies({(2, 1): 0.25, (1, 1): 1.0})
    late = Candidate(threads=(2, 1), most_rows=1, busy=known, noise=(8.0,))
    # looked at every 0.25 s from 0.1 on: at 1.1 the fast one is expected to take longer than 1 s
    assert alone(late, [(0.0, 1), (0.1, 1)]).latencies == pytest.approx((2.0, 9.0))


def test_a_pause_after_each_batch_takes_from_the_throughput() -> None:
    one = Candidate(threads=(1,), most_rows=1, busy=Latencies({(1, 1): 1.0}), pause_s=0.25)
    assert alone(one, [(0.0, 1), (0.0, 1)]).latencies == pytest.approx((1.25, 2.5))


def test_what_the_server_does_for_a_request_takes_from_instances_where_no_core_is_idle() -> None:
    known = Latencies({(1, 1): 1.0})
    one = Candidate(threads=(1,), most_rows=1, busy=known, work_s=0.125)
    # the first comes while nothing is computed, the others while the only core is busy
    assert alone(one, [(0.0, 1), (0.5, 1), (0.5, 1)]).latencies == pytest.approx((1.0, 1.75, 2.75))
    two = Candidate(threads=(1, 1), most_rows=1, busy=known, work_s=0.125)
    assert alone(two, [(0.0, 1), (0.5, 1)]).latencies == pytest.approx((1.0, 1.0))


def test_a_request_is_refused_where_too_many_wait() -> None:
    one = Candidate(threads=(1,), most_rows=1, busy=Latencies({(1, 1): 1.0}))
    found = simulate({"one": one}, Open([(0.1 * k, 1) for k in range(6)]), first="one",
                     most_waiting=2)  # fmt: skip
    assert (len(found.latencies), found.refused) == (3, 3)
    # a client that is refused comes again after a while
    clients = simulate({"one": one}, Closed([(0.35, 4)]), first="one", most_waiting=2)
    assert (len(clients.latencies), clients.refused) == (3, 4)


def test_clients_think_before_they_send_again() -> None:
    one = Candidate(threads=(1,), most_rows=1, busy=Latencies({(1, 1): 1.0}))
    found = simulate({"one": one}, Closed([(4.0, 1)], think_s=0.5), first="one")
    assert found.arrivals == pytest.approx((0.0, 1.5, 3.0))


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.floats(0, 5), max_size=40),
    seed=st.integers(0, 100),
    switch_s=st.sampled_from([0.0, 0.3]),
)
def test_every_request_is_answered_once_however_often_others_take_over(
    times: list[float], seed: int, switch_s: float
) -> None:
    chance = random.Random(seed)

    class Restless:
        def arrived(self, at: float, rows: int) -> None:
            pass

        def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
            pass

        def look(self, at: float, in_system: int) -> str | None:
            return chance.choice(["fat", "thin", None])

        def switched(self, at: float, name: str) -> None:
            pass

    arrivals = [(at, chance.randint(1, 12)) for at in sorted(times)]
    found = simulate(
        SPLITS, Open(arrivals), first="fat", switcher=Restless(), look_s=0.1, switch_s=switch_s
    )
    assert found.arrivals == tuple(at for at, _ in arrivals)
    assert all(0 < latency < math.inf for latency in found.latencies)
    assert found.rows == sum(rows for _, rows in arrivals)


def test_real_latencies_are_as_noisy_as_they_were_measured() -> None:
    noisy = Candidate(
        threads=(1,), most_rows=1, busy=Latencies({(1, 1): 0.01}), noise=(0.9, 1.0, 1.0, 1.5)
    )
    found = alone(noisy, [(float(at), 1) for at in range(400)])
    assert {round(latency, 6) for latency in found.latencies} == {0.009, 0.01, 0.015}
    assert found.quantile(0.5) == pytest.approx(0.01)


def test_a_load_beyond_what_instances_can_do_is_served_at_their_throughput() -> None:
    found = simulate(SPLITS, Open(constant(40, 60)), first="thin")
    # two instances, 8 inputs in 0.65 s each
    assert found.throughput == pytest.approx(16 / 0.65, rel=0.02)
