from hypothesis import given
from hypothesis import strategies as st

from coresplit.sweep.memory_limit import predicted_peak, reason_to_skip

MIB = 2**20


def test_nothing_is_foretold_from_nothing() -> None:
    assert predicted_peak({}, 8, MIB) is None
    assert predicted_peak({16: 100 * MIB}, 8, MIB) is None
    assert reason_to_skip({}, 8, 0, MIB) is None


def test_one_batch_grows_by_the_input_and_output_of_the_largest_layer() -> None:
    assert predicted_peak({1: 400 * MIB}, 65, 5 * MIB) == (400 + 64 * 10) * MIB


def test_two_batches_make_a_line() -> None:
    assert predicted_peak({1: 300 * MIB, 8: 310 * MIB, 16: 390 * MIB}, 32, MIB) == 550 * MIB


def test_what_the_process_holds_already_is_available_to_it() -> None:
    peaks = {32: 400 * MIB, 64: 480 * MIB}
    assert reason_to_skip(peaks, 128, 300 * MIB, MIB) is None
    assert reason_to_skip(peaks, 128, 200 * MIB, MIB) == (
        "needs about 640 MiB, but 600 MiB is available"
    )


@given(st.dictionaries(st.integers(1, 512), st.integers(1, 2**34), min_size=1, max_size=6))
def test_a_larger_batch_is_never_foretold_to_need_less(peaks: dict[int, int]) -> None:
    largest = max(peaks)
    first = predicted_peak(peaks, largest + 1, MIB)
    second = predicted_peak(peaks, 2 * largest + 1, MIB)
    assert first is not None
    assert second is not None
    assert peaks[largest] <= first <= second
