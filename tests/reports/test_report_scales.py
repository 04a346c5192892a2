from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coresplit.charts.palette import optimization_colours, ordered_colours
from coresplit.charts.scales import (
    count_scale,
    labelled,
    log_scale,
    round_step,
    span_scale,
    spread,
    zero_scale,
)

DOUBLING = tuple(2**n for n in range(11))


def test_threads_to_sixteen_are_all_labelled() -> None:
    assert count_scale(range(1, 17), 540).ticks == tuple(map(float, range(1, 17)))


def test_two_threads_are_labelled_once_each_and_stand_off_the_edges() -> None:
    scale = count_scale((1, 2), 540)
    assert scale.ticks == (1.0, 2.0)
    assert 0 < scale.pixel(1) < scale.pixel(2) < 540


def test_many_threads_are_labelled_at_round_numbers() -> None:
    assert count_scale(range(1, 65), 540).ticks[:4] == (1.0, 5.0, 10.0, 15.0)


def test_doubling_threads_get_a_logarithmic_axis() -> None:
    assert count_scale((1, 2, 4, 8, 16, 32, 64), 540).log
    assert not count_scale(range(1, 65), 540).log


def test_one_value_has_room_on_both_sides() -> None:
    for log in (True, False):
        scale = count_scale((4,), 540, log=log)
        assert scale.ticks == (4.0,)
        assert 0 < scale.pixel(4) < 540


def test_a_log_axis_is_labelled_at_one_two_five() -> None:
    assert log_scale(12, 800, 300).ticks == (20.0, 50.0, 100.0, 200.0, 500.0)


def test_many_decades_are_labelled_more_sparsely() -> None:
    assert log_scale(1, 1e5, 300).ticks == (1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0)


def test_linear_axes_are_labelled_at_round_steps() -> None:
    assert zero_scale(166, 300).ticks == (0.0, 50.0, 100.0, 150.0)
    assert span_scale(1.0, 2.0, 300).ticks == (1.0, 1.25, 1.5, 1.75, 2.0)


@given(st.floats(1e-9, 1e9))
def test_a_round_step_is_the_next_round_number(raw: float) -> None:
    assert raw <= round_step(raw) * (1 + 1e-9) <= raw * 2.5 * (1 + 1e-6)


@given(st.floats(1e-6, 1e9), st.floats(1.0, 1e7))
def test_every_log_axis_has_two_labels_within_it(low: float, factor: float) -> None:
    scale = log_scale(low, low * factor, 300)
    assert len(scale.ticks) >= 2
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_labels_are_kept_apart_and_inside(wanted: list[float]) -> None:
    places = spread(wanted, 14.5, 0, 300)
    assert min(places) >= -1e-6 and max(places) <= 300 + 1e-6
    assert all(b - a >= 14.5 - 1e-6 for a, b in pairwise(sorted(places)))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert [places[i] for i in order] == sorted(places)


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread((200.0, 20.0, 100.0), 14.5, 0, 300) == (200.0, 20.0, 100.0)


def test_of_too_many_series_powers_of_two_and_the_last_are_labelled() -> None:
    assert labelled(range(1, 65), 16) == (1, 2, 4, 8, 16, 32, 64)
    assert labelled(range(1, 61), 16) == (1, 2, 4, 8, 16, 32, 60)
    assert labelled(DOUBLING, 16) == DOUBLING
    assert labelled(range(3, 100, 3), 16)[-1] == 99


def test_ordered_colours_run_from_dark_to_light() -> None:
    def light(colour: str) -> int:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    colours = ordered_colours(11)
    assert len(set(colours)) == 11
    assert light(colours[0]) < light(colours[5]) < light(colours[10])


def test_twelve_optimizations_have_colours_of_their_own_and_none_is_grey() -> None:
    names = ["none", *(f"way{n}" for n in range(12))]
    colours = optimization_colours(names)
    assert len(set(colours.values())) == 13
    assert colours["none"] == "#5a6470"
    assert optimization_colours(["none", "script"])["script"] == "#0072B2"
