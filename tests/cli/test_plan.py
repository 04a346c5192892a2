"""What coresplit plan answers, from runs whose best splits are known."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from plan_runs import four_cores, measured, save, trial, verification

from coresplit import store
from coresplit.instance import Interrupt
from coresplit.planner import Plan
from coresplit.records import UNCHECKED, Measurement, Prepared
from coresplit.workflows.request import EXTENDING, BenchRequest

Coresplit = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(four_cores(), tmp_path / "four")


def answer(coresplit: Coresplit, *arguments: object) -> dict[str, object]:
    code, out, err = coresplit("plan", "four", *arguments, "--json")
    assert (code, err) == (0, "")
    document: dict[str, object] = json.loads(out)
    return document


def test_json_keeps_its_keys(coresplit: Coresplit, run: Path) -> None:
    found = answer(coresplit, "--batch", 8)
    wanted = {
        "batch": 8,
        "cores": 4,
        "optimization": "script",
        "setting": "isolated",
        "latency_s": pytest.approx(0.036),
        "split": [{"instances": 4, "threads": 1, "batch": 2}],
        "speedup_over_fat": pytest.approx(60 / 36),
        "speedup_over_thin": 1.0,
        "verdict": "faster",
        "tied_with": [],
        "noise_floor": None,
        "verified": None,
    }
    assert {key: found[key] for key in wanted} == wanted
    fastest = found["fastest"]
    assert isinstance(fastest, dict)
    assert {key: found[key] for key in fastest} == fastest


def test_a_batch_is_answered_in_words(coresplit: Coresplit, run: Path) -> None:
    code, out, err = coresplit("plan", "four", "--batch", 8)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("batch 8 on 4 cores, script, isolated profile (measured alone")
    assert lines[2] == "Run 4 x 1 thread, batch 2: 36.0 ms, 222.2/s."
    assert [line.split("  ")[0] for line in lines[5:7]] == ["* split", ""]
    assert " ".join(lines[6].split()) == "fat 1 x 4 threads, batch 8 60.0 ms 133.3/s 1.67x"
    assert "thin   the split itself" in lines[7]
    assert "saves 38 %" in lines[9]
    assert [line.split()[0] for line in lines[-2:]] == ["2", "1"]
    assert "on fewer cores" in lines


def test_a_split_that_is_not_shown_to_be_faster_is_not_recommended(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    run = four_cores(("script",))
    cells = [noisy(each) for each in run.measurements if each.cell.batch != 8]
    cells += [noisy(measured("script", 1, 8)), noisy(measured("script", 4, 8), 0.62)]
    save(msgspec.structs.replace(run, measurements=tuple(cells)), tmp_path / "four")
    found = answer(coresplit, "--batch", 8)
    assert (found["verdict"], found["tied_with"]) == ("too close to call", ["fat"])
    assert found["split"] == [{"instances": 1, "threads": 4, "batch": 8}]
    assert found["speedup_over_fat"] == 1.0
    fastest, fat = found["fastest"], found["fat"]
    assert isinstance(fastest, dict)
    assert isinstance(fat, dict)
    assert fastest["split"] == [{"instances": 4, "threads": 1, "batch": 2}]
    assert (found["latency_s"], fastest["latency_s"] < fat["latency_s"]) == (fat["latency_s"], True)
    assert fastest["speedup_over_fat"] > 1
    _, out, _ = coresplit("plan", "four", "--batch", 8)
    assert out.splitlines()[2].startswith("Run 1 x 4 threads, batch 8")
    assert "Too close to call" in out
    assert "To find out: coresplit plan four --batch 8 --verify" in out
    assert "saves" not in out
    _, out, _ = coresplit("plan", "four")
    assert "too close to call" in out


def noisy(measurement: Measurement, factor: float = 1.0) -> Measurement:
    """The same with visits that vary by some 10 %."""
    swing = (0.9, 1.1, 0.95, 1.0, 1.05, 0.92, 1.08, 1.0)
    samples = tuple(factor * s * f for s, f in zip(measurement.samples, swing, strict=True))
    return msgspec.structs.replace(measurement, samples=samples)


def test_without_a_batch_every_batch_of_the_run_is_planned(coresplit: Coresplit, run: Path) -> None:
    code, out, _ = coresplit("plan", "four")
    assert code == 0
    head, *lines = [" ".join(line.split()) for line in out.splitlines()]
    assert head == (
        "batch run optimization latency fastest predicted over fat over thin doubts verified"
    )
    assert lines == [
        "1 1 x 4 threads, batch 1 script 9.00 ms the same is fat 2.22x none no",
        "2 2 x 2 threads, batch 1 script 12.0 ms the same 1.17x 1.67x none no",
        "4 2 x 2 threads, batch 2 script 20.0 ms the same 1.30x 1.00x equivalent within 3 % none "
        "no",
        "8 4 x 1 thread, batch 2 script 36.0 ms the same 1.67x is thin none no",
    ]
    plans = answer(coresplit)["plans"]
    assert isinstance(plans, list)
    assert [each["batch"] for each in plans] == [1, 2, 4, 8]


def test_fewer_cores_are_divided_when_asked(coresplit: Coresplit, run: Path) -> None:
    found = answer(coresplit, "--batch", 8, "--cores", 2)
    assert found["split"] == [{"instances": 2, "threads": 1, "batch": 4}]
    assert found["speedup_over_fat"] == pytest.approx(84 / 72)


def test_a_limit_finds_the_batch_of_the_highest_throughput(coresplit: Coresplit, run: Path) -> None:
    found = answer(coresplit, "--slo", "30ms")
    assert (found["batch"], found["latency_s"]) == (4, pytest.approx(0.02))
    found = answer(coresplit, "--slo", "100ms")
    assert found["split"] == [{"instances": 4, "threads": 1, "batch": 2}]
    assert found["slo_s"] == 0.1


def test_a_limit_that_the_interval_reaches_beyond_may_be_missed(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    uneven = msgspec.structs.replace(
        measured("script", 1, 1), samples=tuple(0.02 * f for f in (0.9, 0.95, 1, 1, 1, 1, 1.1, 1.2))
    )
    save(msgspec.structs.replace(four_cores(), measurements=(uneven,)), tmp_path / "four")
    _, out, _ = coresplit("plan", "four", "--slo", "20ms")
    assert "may take longer than 20.0 ms" in out
    _, out, _ = coresplit("plan", "four", "--slo", "30ms")
    assert "may take longer" not in out


def test_lossy_optimizations_are_planned_only_when_named(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    save(four_cores(("script", "int8")), tmp_path / "four")
    assert answer(coresplit, "--batch", 8)["optimization"] == "script"
    found = answer(coresplit, "--batch", 8, "--optimization", "int8")
    assert (found["optimization"], found["latency_s"]) == ("int8", pytest.approx(0.018))


def test_packed_cells_are_used_where_there_are_any(coresplit: Coresplit, tmp_path: Path) -> None:
    save(four_cores(settings=("isolated", "packed")), tmp_path / "four")
    found = answer(coresplit, "--batch", 8)
    assert (found["setting"], found["latency_s"]) == ("packed", pytest.approx(0.045))
    assert found["doubts"] == []
    alone = answer(coresplit, "--batch", 8, "--setting", "isolated")
    assert (alone["setting"], alone["latency_s"]) == ("isolated", pytest.approx(0.036))


def test_cells_that_were_not_measured_packed_are_scaled_and_say_so(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    save(four_cores(settings=("isolated", "packed")), tmp_path / "four")
    found = answer(coresplit, "--batch", 8, "--cores", 2)["fastest"]
    assert isinstance(found, dict)
    assert found["split"] == [{"instances": 2, "threads": 1, "batch": 4}]
    assert found["doubts"] == ["scaled"]
    # cells of one and two threads were 1.25 times slower beside copies; here one more is
    slope = 1.25 * math.log(1.25) / (0.75**2 + 0.5**2)
    assert found["latency_s"] == pytest.approx(0.072 * math.exp(slope / 4))


def test_interpolated_batches_are_marked(coresplit: Coresplit, run: Path) -> None:
    found = answer(coresplit, "--batch", 11, "--interpolate")
    fastest = found["fastest"]
    assert isinstance(fastest, dict)
    assert fastest["split"] == [
        {"instances": 1, "threads": 2, "batch": 5},
        {"instances": 2, "threads": 1, "batch": 3},
    ]
    assert fastest["latency_s"] == pytest.approx(0.054)
    assert fastest["doubts"] == ["interpolated", "mixed"]


def test_measured_batches_too_are_cut_into_interpolated_ones(
    coresplit: Coresplit, run: Path
) -> None:
    plain, between = (
        answer(coresplit, "--cores", 3, *more)["plans"] for more in ((), ("--interpolate",))
    )
    assert isinstance(plain, list)
    assert isinstance(between, list)
    assert plain[-1]["fastest"]["split"] == [
        {"instances": 2, "threads": 1, "batch": 3},
        {"instances": 1, "threads": 1, "batch": 2},
    ]
    assert between[-1]["fastest"]["split"] == [
        {"instances": 1, "threads": 2, "batch": 5},
        {"instances": 1, "threads": 1, "batch": 3},
    ]
    for found in (plain, between):
        assert found[-1]["fastest"]["latency_s"] == pytest.approx(0.054)


def test_a_limit_is_kept_by_interpolated_batches_too(coresplit: Coresplit, tmp_path: Path) -> None:
    cells = (measured("script", 1, 1), measured("script", 1, 4))
    save(msgspec.structs.replace(four_cores(), measurements=cells), tmp_path / "four")
    limit = ("--slo", "60ms", "--cores", 1)
    assert answer(coresplit, *limit)["batch"] == 1
    found = answer(coresplit, *limit, "--interpolate")
    assert (found["batch"], found["doubts"]) == (3, ["interpolated"])


def test_fat_that_was_not_measured_competes_and_is_marked(coresplit: Coresplit, run: Path) -> None:
    found = answer(coresplit, "--batch", 5)
    assert found["split"] == [{"instances": 1, "threads": 4, "batch": 5}]
    assert (found["verdict"], found["doubts"]) == ("fat is fastest", ["interpolated"])
    _, out, _ = coresplit("plan", "four", "--batch", 5)
    assert "Latencies of fat are interpolated between two measured batches." in out
    assert "No split is predicted to be faster" in out


def test_other_optimizations_that_are_too_close_to_call_are_named(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    run = four_cores(("none", "script"))
    cells = tuple(
        noisy(each, 0.68 if each.cell.optimization == "none" else 1.0) for each in run.measurements
    )
    save(msgspec.structs.replace(run, measurements=cells), tmp_path / "four")
    found = answer(coresplit, "--batch", 8)
    close = found["not_slower"]
    assert isinstance(close, list)
    assert [each["optimization"] for each in close] == ["none"]
    _, out, _ = coresplit("plan", "four", "--batch", 8)
    assert "Too close to call with script: none (" in out


@pytest.mark.parametrize(
    ("split_s", "verdict", "words"),
    [
        (0.036, "confirmed", "confirmed: the split was faster than fat over 10 rounds"),
        (0.06, "tied", "too close to call: the split and fat are equivalent within 3 %"),
        (0.08, "refuted", "refuted: fat was faster than the split over 10 rounds"),
    ],
)
def test_a_verification_in_the_run_is_told(
    coresplit: Coresplit, tmp_path: Path, split_s: float, verdict: str, words: str
) -> None:
    save(four_cores(("script",)), tmp_path / "four", verification(split_s))
    verified = answer(coresplit, "--batch", 8)["verified"]
    assert isinstance(verified, dict)
    assert verified["verdict"] == verdict
    assert (verified["split_s"], verified["fat_s"], verified["thin_s"]) == (split_s, 0.06, split_s)
    assert verified["rounds"] == 10
    code, out, _ = coresplit("plan", "four", "--batch", 8)
    assert code == 0
    assert words in out
    _, out, _ = coresplit("plan", "four")
    rows = [line.split("  ")[-1].strip() for line in out.splitlines()]
    said = words.partition(":")[0]
    assert rows == ["verified", "no", "no", "no", said]


@pytest.mark.parametrize(("split_s", "verdict"), [(0.036, "faster"), (0.08, "fat is fastest")])
def test_what_ran_beats_what_was_predicted(
    coresplit: Coresplit, tmp_path: Path, split_s: float, verdict: str
) -> None:
    save(four_cores(("script",)), tmp_path / "four", verification(split_s))
    found = answer(coresplit, "--batch", 8)
    assert found["verdict"] == verdict
    count = 4 if verdict == "faster" else 1
    assert found["split"] == [{"instances": count, "threads": 4 // count, "batch": 8 // count}]
    _, out, _ = coresplit("plan", "four", "--batch", 8)
    assert out.splitlines()[2].startswith(f"Run {count} x ")
    assert ("one instance on all 4 cores was faster" in out) == (verdict != "faster")


def test_a_tie_with_one_rival_tells_that_the_other_was_slower(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    both = [
        msgspec.structs.replace(
            each,
            batch=4,
            trials=(
                trial("split", [(2, 2)] * 2, 0.02, 0.02),
                trial("fat", [(4, 4)], 0.026, 0.026),
                trial("thin", [(1, 1)] * 4, 0.02, 0.0201 if number % 2 else 0.0199),
            ),
        )
        for number, each in enumerate(verification(0.036))
    ]
    save(four_cores(), tmp_path / "four", both)
    _, out, _ = coresplit("plan", "four", "--batch", 4)
    last = out.splitlines()[-1]
    assert last.startswith("too close to call: the split was faster than fat; ")
    assert "the split and thin are equivalent" in last


@pytest.mark.parametrize(("split_s", "expected"), [(0.036, 0), (0.06, 0), (0.08, 1)])
def test_the_exit_code_of_a_verification_is_1_if_a_rival_was_faster(
    coresplit: Coresplit,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    split_s: float,
    expected: int,
) -> None:
    def verify(path: Path, plan: Plan, **options: object) -> None:
        _, writer = store.reopen(path)
        with writer:
            for each in verification(split_s):
                writer.log(each)

    monkeypatch.setattr("coresplit.cli.commands.plan.verify", verify)
    code, out, _ = coresplit("plan", "four", "--batch", 8, "--verify", "--json")
    assert code == expected
    assert json.loads(out)["verified"]["rounds"] == 10


@pytest.mark.parametrize(
    ("batch", "asked"),
    [
        (2, []),
        (4, [{}]),
        (5, [{"batches": (5,)}]),
    ],
)
def test_measure_goes_on_with_what_the_run_has_not_reached(
    coresplit: Coresplit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    asked: list[dict[str, tuple[int, ...]]],
) -> None:
    run = four_cores(("script",))
    cells = tuple(each for each in run.measurements if each.cell.batch != 4)
    save(msgspec.structs.replace(run, measurements=cells), tmp_path / "four")
    swept: list[dict[str, object]] = []

    def measure(request: BenchRequest, interrupt: Interrupt, cores: object) -> None:
        given = msgspec.structs.asdict(request)
        assert given["resume"] == Path("four")
        swept.append({name: given[name] for name in EXTENDING if given[name] is not None})

    monkeypatch.setattr("coresplit.cli.commands.plan.measure", measure)
    code, _, err = coresplit("plan", "four", "--batch", batch, "--measure", "--interpolate")
    assert code == 0
    assert swept == asked
    assert ("is measured already" in err) == (not asked)


def test_a_run_without_cells_for_so_few_cores_is_refused(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    run = four_cores(("script",))
    cells = tuple(each for each in run.measurements if each.cell.threads == 4)
    settings = msgspec.structs.replace(run.settings, threads=(4,))
    save(msgspec.structs.replace(run, measurements=cells, settings=settings), tmp_path / "four")
    for more in ((), ("--batch", 4), ("--slo", "1s")):
        code, out, err = coresplit("plan", "four", "--cores", 1, *more)
        assert (code, out) == (2, "")
        assert "run four has no measured cells on 1 core; measure them: coresplit bench" in err
        assert "--resume four --threads 1" in err


def test_where_losses_are_not_stated_the_plan_says_so(coresplit: Coresplit, tmp_path: Path) -> None:
    save(msgspec.structs.replace(four_cores(), journal=()), tmp_path / "four")
    said = "does not state which optimizations are lossy, so all of them compete"
    assert said in coresplit("plan", "four", "--batch", 8)[2]
    assert said not in coresplit("plan", "four", "--batch", 8, "--optimization", "script")[2]


@pytest.mark.parametrize(
    ("split_s", "fat_s", "said"),
    [
        (
            0.045,
            0.08,
            "slower than predicted, by 25 % or more: the machine is slower now than when",
        ),
        (
            0.030,
            0.05,
            "faster than predicted, by 17 % or more: the machine is faster now than when",
        ),
        (0.045, 0.061, None),
        (0.045, 0.05, None),
    ],
)
def test_a_machine_that_has_changed_is_told_from_a_wrong_prediction(
    coresplit: Coresplit, tmp_path: Path, split_s: float, fat_s: float, said: str | None
) -> None:
    rounds = [
        msgspec.structs.replace(each, trials=(each.trials[0], trial("fat", [(4, 8)], 0.06, fat_s)))
        for each in verification(split_s)
    ]
    save(four_cores(), tmp_path / "four", rounds)
    _, out, _ = coresplit("plan", "four", "--batch", 8)
    last = out.splitlines()[-1]
    assert last.startswith("All of them were ") == (said is not None)
    assert said is None or said in last


def test_too_few_rounds_ask_for_more_time(coresplit: Coresplit, tmp_path: Path) -> None:
    cells = tuple(noisy(each) for each in four_cores(("script",)).measurements)
    run = msgspec.structs.replace(four_cores(("script",)), measurements=cells)
    save(run, tmp_path / "four", verification(0.059, rounds=3))
    _, out, _ = coresplit("plan", "four", "--batch", 8)
    assert out.splitlines()[-1].startswith("too close to call: no difference from fat was shown")
    assert "give it a larger budget" in out


def test_a_command_that_is_advised_can_be_pasted_whatever_the_folder_is_called(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    save(four_cores(), tmp_path / "our four; cores")
    code, _, err = coresplit("plan", "our four; cores", "--batch", 33)
    assert code == 2
    assert "coresplit bench --resume 'our four; cores' --batches" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--batch 0", "0 is not in the range x>=1"),
        ("--batch -4", "-4 is not in the range x>=1"),
        ("--batch many", "'many' is not a valid integer"),
        ("--cores 0", "0 is not in the range x>=1"),
        ("--cores 5", "5 cores are too many: the run was measured on 4 cores"),
        ("--batch 33", "batch 33 is too large: measured cells reach 32 on 4 cores"),
        ("--batch 33", "measure it: coresplit bench --resume four --batches 33"),
        ("--batch 1000000000000", "batch 1000000000000 is too large"),
        ("--batch 8 --optimization bf16", "no measured cells of bf16; measure them: coresplit"),
        ("--batch 8 --optimization bf16", "bench --resume four --optimizations bf16, or plan"),
        ("--batch 8 --setting packed", "bench --resume four --setting packed, or plan with"),
        ("--batch 8 --setting lonely", "'lonely' is not one of 'isolated', 'packed'"),
        ("--batch 8 --mapping interleave", "has no measured cells of interleave"),
        ("--slo 1ms", "no split finishes within 1.00 ms; the fastest takes 9.00 ms, for batch 1"),
        ("--slo 10ms --cores 1", "finishes within 10.0 ms; the fastest takes 20.0 ms, for batch 1"),
        ("--optimization scirpt", "unknown optimization 'scirpt'; did you mean 'script'?"),
        ("--mapping zigzag", "'zigzag' is not one of 'sequential', 'interleave'"),
        ("--allocator mymalloc", "unknown allocator 'mymalloc'"),
        ("--batch 8 --weights w.pth", "--weights is for --verify and --measure; leave it out"),
        ("--batch 8 --trust", "--trust is for --verify and --measure; leave it out"),
        ("--batch 8 --measure --budget soon", "'soon' is not a duration"),
        ("--batch 8 --verify --budget none", "--verify needs a finite budget"),
        ("--slo soon", "'soon' is not a duration"),
        ("--slo 20ms --batch 8", "leave out the batch or the SLO"),
        ("--verify", "--verify is for one batch; name it with --batch"),
        ("--measure --slo 20ms", "--measure is for one batch"),
        ("--batch 8 --budget 1m", "--budget is for --verify and --measure"),
        ("--batch 8 --verify", "was measured under other conditions: CPU model: Test CPU there"),
        ("--batch 8 --verify --budget soon", "'soon' is not a duration"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    coresplit: Coresplit, run: Path, arguments: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    code, out, err = coresplit("plan", "four", *arguments.split())
    assert code == 2
    assert out == ""
    assert err.startswith("coresplit: ")
    assert err.count("\n") == 1
    assert message in err
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_batch_that_nothing_makes_up_names_those_nearest(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    run = four_cores(("script",))
    cells = tuple(each for each in run.measurements if each.cell.threads == 2)
    save(msgspec.structs.replace(run, measurements=cells), tmp_path / "four")
    code, _, err = coresplit("plan", "four", "--batch", 11)
    assert (code, err.count("\n")) == (2, 1)
    assert "the nearest that can are 10 and 12" in err


def test_a_run_with_lossy_optimizations_only_asks_for_one(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    save(four_cores(("int8",)), tmp_path / "four")
    code, _, err = coresplit("plan", "four", "--batch", 8)
    assert code == 2
    assert "has lossy optimizations only; name the one to plan with: --optimization int8" in err


def test_a_run_without_cells_says_how_to_measure(coresplit: Coresplit, tmp_path: Path) -> None:
    run = four_cores()
    save(msgspec.structs.replace(run, measurements=()), tmp_path / "four")
    code, _, err = coresplit("plan", "four", "--batch", 8)
    assert code == 2
    assert "run four has no measured cells; measure them: coresplit bench --resume four" in err


def test_imported_tables_cannot_be_verified(coresplit: Coresplit, tmp_path: Path) -> None:
    save(msgspec.structs.replace(four_cores(), machine=None), tmp_path / "four")
    code, _, err = coresplit("plan", "four", "--batch", 8, "--verify")
    assert (code, err.count("\n")) == (2, 1)
    assert "was imported from tables, so it cannot be run here" in err


def test_a_plan_of_outputs_that_were_not_checked_says_so(
    coresplit: Coresplit, tmp_path: Path
) -> None:
    made = four_cores()
    reason = "they hardly depend on the input"
    journal = tuple(
        msgspec.structs.replace(entry, facts={UNCHECKED: reason})
        if isinstance(entry, Prepared) and entry.optimization == "script"
        else entry
        for entry in made.journal
    )
    save(msgspec.structs.replace(made, journal=journal), tmp_path / "four")
    assert answer(coresplit, "--batch", 8)["outputs_not_checked"] == reason
    assert answer(coresplit, "--batch", 8, "--optimization", "none")["outputs_not_checked"] is None
    _, one, _ = coresplit("plan", "four", "--batch", 8)
    assert f"Outputs not checked: {reason}." in one
    _, every, _ = coresplit("plan", "four")
    assert "outputs not checked" in every
