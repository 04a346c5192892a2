"""A model that is a formula: what it takes, what is refused, and that nothing of it is run."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coresplit.errors import UsageError
from coresplit.models import FakeModel, is_fake, parse_fake
from coresplit.models.fake import DEFAULT_CORES, DEFAULT_FORMULA, MOST_CORES

Formula = Callable[[int, int], float]
PLACES = [(1, 1), (2, 1), (4, 8), (16, 1024), (256, 3)]


def latencies(text: str, optimization: str = "none") -> list[float]:
    model = parse_fake(f"fake:{text}")
    return [model.latency(optimization, threads, batch) for threads, batch in PLACES]


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_fake(f"fake:{text}")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("8ms", lambda t, b: 0.008),
        ("8ms*b/t", lambda t, b: 0.008 * b / t),
        ("1ms + 8ms*b/t", lambda t, b: 0.001 + 0.008 * b / t),
        ("2ms + 8 * 1ms * b / min(t, 8)", lambda t, b: 0.002 + 0.008 * b / min(t, 8)),
        ("max(3ms, 1ms*b)", lambda t, b: max(0.003, 0.001 * b)),
        ("250us * sqrt(b)", lambda t, b: 250e-6 * math.sqrt(b)),
        ("1s + 1.5ms*log2(t)", lambda t, b: 1 + 0.0015 * math.log2(t)),
        ("0.001 * b", lambda t, b: 0.001 * b),
        ("5ms - 1ms/t", lambda t, b: 0.005 - 0.001 / t),
        ("5ms + -1ms/t", lambda t, b: 0.005 - 0.001 / t),
        ("(1ms + 2ms) * b", lambda t, b: 0.003 * b),
        (" 8ms ", lambda t, b: 0.008),
    ],
)
def test_a_forward_takes_exactly_what_the_formula_says(text: str, exact: Formula) -> None:
    assert latencies(text) == pytest.approx([exact(t, b) for t, b in PLACES], rel=1e-12)


def test_optimizations_have_formulas_of_their_own_and_the_rest_the_unnamed_one() -> None:
    text = "none=8ms*b/t; script=6ms*b/t; 10ms*b/t"
    factors = {"none": 0.008, "script": 0.006, "openvino": 0.010, "int8": 0.010}
    for name, factor in factors.items():
        assert latencies(text, name) == pytest.approx([factor * b / t for t, b in PLACES])


def test_the_unnamed_formula_may_stand_anywhere_and_the_last_one_stands_in_for_it() -> None:
    assert latencies("3ms; none=1ms", "script") == latencies("none=1ms; 3ms", "script")
    assert latencies("none=1ms; script=2ms", "openvino") == [0.002] * len(PLACES)


def test_fake_alone_is_the_formula_that_help_shows() -> None:
    assert parse_fake("fake") == parse_fake("fake:") == parse_fake(f"fake:{DEFAULT_FORMULA}")
    assert parse_fake("fake").cores == DEFAULT_CORES
    assert latencies("", "script") < latencies("", "none")


@pytest.mark.parametrize(("text", "cores"), [("@1", 1), ("@16", 16), ("@256", 256), ("", 4)])
def test_the_cores_stand_after_the_at(text: str, cores: int) -> None:
    assert parse_fake(f"fake:8ms*b/t{text}").cores == cores
    assert parse_fake(f"fake:{text}").cores == cores
    assert latencies(f"8ms*b/t{text}") == latencies("8ms*b/t")


@pytest.mark.parametrize("cores", ["0", "257", "-1", "1.5", "four", "", "9" * 400, "1 6", "²"])
def test_cores_that_cannot_be_are_refused(cores: str) -> None:
    assert f"give 1 to {MOST_CORES} after the @" in refused(f"8ms@{cores}")


def test_a_number_of_cores_with_thousands_of_digits_is_refused() -> None:
    refused("8ms@" + "9" * 5000)


@pytest.mark.parametrize(
    "formula",
    [
        "-1ms", "0ms", "0*b", "1ms - b*1ms", "1ms*(t-2)", "1ms/(t-3)", "1e400", "1ms*1e308*1e308",
        "8 m s", "8min", "8ms*x", "b t", "8ms*", ")", "(" * 200, "-" * 499, "1ms, 2ms", "[1ms]",
        "b**t", "b//2", "b%2+1", "~b", "not b", "b < t", "1ms if b else 2ms", "1j", "'8ms'",
        "b'8'", "f'{b}'", "None", "...", "min()", "min(b)", "sqrt(b, t)", "sqrt(-b)", "log2(b-b)",
        "max(b, key=t)", "min(*b)", "abs(b)", "b.real", "(lambda: 1)()", "b := 1", "[b for b in t]",
        "8ms\0", "\ud800", "８ms*ｂ/0", "==1ms", "none=", ";", "8ms;;",
    ],
)  # fmt: skip
def test_what_is_no_positive_duration_is_refused_with_an_example(formula: str) -> None:
    assert "is not a positive duration" in refused(formula)
    assert "write for example 1ms + 8ms*b/t" in refused(formula)


@pytest.mark.parametrize("length", [501, 10**6])
def test_a_formula_that_is_too_long_is_refused(length: int) -> None:
    assert refused("1" * length) == f"the formula has {length} characters; give at most 500"


@pytest.mark.parametrize(
    "formula",
    ["1ms/((t-5)*(t-5))", "1ms*(t-4)*(t-4)", "1ms*(b-5)*(b-7) + 0.5ms", "8ms*(b-512)*(b-512)"],
)
def test_a_formula_that_fails_for_some_threads_or_batch_is_refused(formula: str) -> None:
    refused(formula)


@pytest.mark.parametrize(
    ("name", "fake"),
    [("fake", True), ("fake:8ms", True), ("fake:", True), ("fakes", False), ("inception", False)],
)
def test_only_fake_and_what_follows_its_colon_is_a_formula(name: str, fake: bool) -> None:
    assert is_fake(name) is fake


WORDS = [
    *("b", "t", "8ms", "0.5us", "1s", "2", "1e999", "none=", "script=", "min", "max", "sqrt"),
    *("log2", "(", ")", "+", "-", "*", "/", "**", "//", ",", ";", "@", "4", "=", ".", "[", "]"),
    *("__import__('os').system('touch harmed')", "open('harmed', 'w')", "exec", "eval", "lambda"),
    *("().__class__", "__builtins__", "print", "if", "else", "for", "in", "'", '"', "\\", "\n"),
    *("#", "\0", "\t", " ", "{", "}", "f'", "yield", "await", ":=", "9" * 30, "(" * 99, "-" * 99),
]
TEXTS = st.text(max_size=600) | st.lists(st.sampled_from(WORDS), max_size=40).map("".join)

RUN = ("exec", "import", "open", "os.system", "os.exec", "subprocess.Popen", "ctypes.dlopen")
_watching: list[str] | None = None


def _watch(event: str, _: object) -> None:
    if _watching is not None and event in RUN:
        _watching.append(event)


@given(TEXTS)
@example("__import__('os').system('touch harmed')")
@example("open('harmed', 'w')")
@example("[].__class__.__base__.__subclasses__()")
@example("(" * 250 + "1ms" + ")" * 250)
@example("-" * 500)
@example("1" * 500 + "ms")
@example("٣ms@٤")
@example("1if b else 2")
def test_any_text_is_a_formula_or_a_usage_error_and_is_never_run(text: str) -> None:
    global _watching  # noqa: PLW0603 (an audit hook cannot be taken back)
    found: list[str] = []
    begin = time.thread_time()
    _watching = found
    try:
        _parse(text)
    finally:
        _watching = None
    # work, not waiting: a busy machine changes nothing of it
    assert time.thread_time() - begin < 1
    assert found == []
    assert not Path("harmed").exists()


def _parse(text: str) -> None:
    try:
        model = parse_fake(f"fake:{text}")
    except UsageError:
        return
    assert isinstance(model, FakeModel)
    assert 1 <= model.cores <= MOST_CORES
    for name in ("none", "script", "int8"):
        assert model.latency(name, 1, 1) > 0


def test_the_hook_of_these_tests_sees_code_that_is_run() -> None:
    global _watching  # noqa: PLW0603 (as above)
    found: list[str] = []
    _watching = found
    try:
        exec("1")
    finally:
        _watching = None
    assert found == ["exec"]


sys.addaudithook(_watch)
