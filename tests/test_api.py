"""The Python interface: what it gives, what it refuses, and that the examples in it are true."""

import ast
import doctest
import importlib
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

import coresplit
from coresplit import api, results

FORMULA = "fake:2ms + 8ms*b"
BATCHES = (1, 2, 4, 8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> coresplit.Run:
    """A sweep of a formula with four cores, on which one-thread instances are fastest."""
    return coresplit.bench(FORMULA, batches=BATCHES, out=tmp_path_factory.mktemp("api") / "run")


@pytest.mark.parametrize("module", [api, results], ids=lambda module: str(module.__name__))
def test_examples_in_docstrings_are_true(module: object, tmp_path: Path) -> None:
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs={"folder": tmp_path})
    assert any(test.examples for test in tests)
    runner = doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


def test_every_function_has_an_example() -> None:
    functions = (coresplit.bench, coresplit.plan, coresplit.verify, coresplit.report)
    assert all(">>>" in (function.__doc__ or "") for function in functions)


def test_every_stable_name_is_there_and_nothing_else() -> None:
    assert sorted(coresplit.__all__) == coresplit.__all__
    assert all(getattr(coresplit, name) is not None for name in coresplit.__all__)
    assert set(dir(coresplit)) == {*coresplit.__all__, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'serve_tea'"):
        coresplit.serve_tea  # noqa: B018


def test_names_for_type_checkers_are_those_that_are_stable() -> None:
    tree = ast.parse(Path(coresplit.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(imported) == coresplit.__all__


def test_a_function_is_not_hidden_by_a_room_of_its_name() -> None:
    for room in ("reports", "verifier", "planner", "store"):
        importlib.import_module(f"coresplit.{room}")
    assert callable(coresplit.report)
    assert callable(coresplit.verify)


def test_the_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, coresplit\n"
        "heavy = {'torch', 'numpy', 'msgspec', 'click', 'rich', 'vl_convert'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "coresplit.load\n"
        "heavy = {'torch', 'numpy', 'vl_convert'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_run_folder_is_the_same_as_text_path_and_run(run: coresplit.Run, tmp_path: Path) -> None:
    for given in (str(run.path), run.path, run):
        assert coresplit.load(given).record == run.record
        assert coresplit.plan(given, batch=8).split == ((4, 1, 2),)
        tables = coresplit.export_tables(given, tmp_path / type(given).__name__)
        assert [table.suffix for table in tables] == [".csv"] * len(tables)
        page = coresplit.report(given, tmp_path / "page", formats=["markdown"])
        assert page.name == "index.markdown"


def test_records_are_plain_values_in_documented_columns(run: coresplit.Run) -> None:
    records = run.records()
    assert len(records) == 2 * 4 * len(BATCHES)
    documented = results.Run.records.__doc__ or ""
    assert all(f"``{name}``" in documented for name in records[0])
    kinds = {type(value) for record in records for value in record.values()}
    assert kinds <= {str, int, float, type(None)}
    first = next(r for r in records if (r["threads"], r["batch"]) == (1, 8))
    assert first["latency_s"] == pytest.approx(0.066, rel=0.01)
    assert first["latency_low_s"] < first["latency_s"] < first["latency_high_s"]
    assert first["throughput"] == pytest.approx(8 / first["latency_s"])


def test_a_plan_is_proven_and_shows_itself(run: coresplit.Run) -> None:
    plan = coresplit.plan(run, batch=8)
    assert (plan.batch, plan.cores, plan.verdict) == (8, 4, "faster")
    assert plan.latency == pytest.approx(0.018, rel=0.01)
    assert plan.throughput == pytest.approx(8 / plan.latency)
    assert plan.proof is None
    said: list[str] = []
    proof = coresplit.verify(plan, budget=10, progress=said.append)
    assert proof.verdict == "confirmed"
    assert proof.speedups["fat"] == pytest.approx(66 / 18, rel=0.02)
    assert proof.rounds >= 10
    assert any("round" in doing for doing in said)
    assert coresplit.plan(run.path, batch=8).proof is not None
    for shown in (run, plan, proof):
        assert "<b>" in shown._repr_html_()
        assert "coresplit." in repr(shown)
    assert "confirmed" in str(proof)
    assert plan.to_dict()["split"] == [{"instances": 4, "threads": 1, "batch": 2}]
    assert proof.to_dict()["verdict"] == "confirmed"


def test_every_batch_is_planned(run: coresplit.Run) -> None:
    plans = coresplit.plans(run, optimization="none")
    assert [plan.batch for plan in plans] == list(BATCHES)
    assert {plan.optimization for plan in plans} == {"none"}
    within = coresplit.plan(run, slo=0.02)
    assert within.latency <= 0.02


def test_progress_is_heard_and_can_be_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[coresplit.Progress] = []
    coresplit.bench(FORMULA, batches=[1, 2], threads=[1], out=tmp_path / "a", progress=heard.append)
    assert heard[-1].cells == 4
    assert capsys.readouterr() == ("", "")
    coresplit.bench(FORMULA, batches=[1], threads=[1], out=tmp_path / "b", progress=print)
    assert "cells" in capsys.readouterr().out


def test_a_run_is_extended(run: coresplit.Run, tmp_path: Path) -> None:
    first = coresplit.bench(FORMULA, batches=[1], threads=[1, 4], out=tmp_path / "run")
    wider = coresplit.bench(resume=first, batches=[2])
    assert {record["batch"] for record in wider.records()} == {1, 2}
    assert wider.path == first.path


def test_a_quick_run_ends_with_a_proof(tmp_path: Path) -> None:
    run = coresplit.bench("fake", batches=[1, 8], quick=True, out=tmp_path / "quick")
    assert any(plan.proof for plan in coresplit.plans(run))


def test_what_a_plan_lacks_can_be_measured(run: coresplit.Run) -> None:
    with pytest.raises(coresplit.NotMeasured) as caught:
        coresplit.plan(run, batch=100)
    assert caught.value.additions == {"batches": (100,)}
    assert "too large" in caught.value.what
    assert "measure it" in caught.value.remedy


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"threads": "1-4"}, "threads"),
        ({"threads": [1.5]}, "threads"),
        ({"threads": [0]}, "threads"),
        ({"threads": [2, 1]}, "ascending"),
        ({"batches": []}, "batches"),
        ({"optimizations": "none"}, "optimizations"),
        ({"optimizations": [3]}, "optimizations"),
        ({"optimizations": ["nonee"]}, "did you mean 'none'"),
        ({"optimizations": ["none", "none"]}, "repeats none"),
        ({"budget": "10m"}, "budget"),
        ({"budget": 0}, "not positive"),
        ({"precision": 2.0}, "precision"),
        ({"mapping": ["zigzag"]}, "mapping"),
        ({"setting": ["packed"]}, "setting=isolated,packed"),
        ({"inputs": "cold"}, "inputs"),
        ({"seed": "one"}, "seed"),
        ({"quick": 1}, "quick"),
        ({"out": 3}, "out"),
        ({"out": ""}, "out is empty"),
        ({"resume": 3}, "resume"),
        ({"weights": "w.safetensors"}, "leave out weights"),
        ({"model": 3}, "model"),
        ({"model": "fake:nonsense"}, "nonsense"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    given: dict[str, object], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"model": "fake", "out": tmp_path / "run"} | given
    with pytest.raises(coresplit.UsageError) as caught:
        coresplit.bench(**arguments)  # type: ignore[arg-type]
    assert named in str(caught.value)
    assert "--" not in str(caught.value)
    assert caught.value.what
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "run").exists()


def test_other_functions_refuse_by_name_too(run: coresplit.Run, tmp_path: Path) -> None:
    with pytest.raises(coresplit.UsageError, match="batch or an SLO"):
        coresplit.plan(run)
    with pytest.raises(coresplit.UsageError, match="batch"):
        coresplit.plan(run, batch="8")  # type: ignore[arg-type]
    with pytest.raises(coresplit.UsageError, match="leave out the batch"):
        coresplit.plan(run, batch=8, slo=0.1)
    with pytest.raises(coresplit.RunError, match="does not exist"):
        coresplit.plan(tmp_path / "nowhere", batch=8)
    with pytest.raises(coresplit.UsageError, match="plan is of type Run"):
        coresplit.verify(run)  # type: ignore[arg-type]
    with pytest.raises(coresplit.UsageError, match="budget"):
        coresplit.verify(coresplit.plan(run, batch=8), budget=-1)
    with pytest.raises(coresplit.UsageError, match="unknown format 'pdf'"):
        coresplit.report(run, formats=["pdf"])
    with pytest.raises(coresplit.UsageError, match="formats"):
        coresplit.report(run, formats="html")
    with pytest.raises(coresplit.UsageError, match="tables"):
        coresplit.import_tables("table.csv", tmp_path / "out")


def test_tables_that_were_exported_can_be_imported(run: coresplit.Run, tmp_path: Path) -> None:
    tables = coresplit.export_tables(run, tmp_path / "csv")
    imported = coresplit.import_tables(tables, tmp_path / "again")
    assert len(imported.records()) == len(run.records())
    with pytest.raises(coresplit.RunError, match="it cannot be run here"):
        coresplit.verify(coresplit.plan(imported, batch=8))


def test_the_doctor_advises_in_plain_records() -> None:
    for advice in coresplit.doctor():
        assert advice.severity in ("note", "warning")
        assert "--allocator" not in advice.remedy + advice.what
        assert msgspec.to_builtins(advice)["what"]


def test_measuring_is_for_the_main_thread(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def measure() -> None:
        try:
            coresplit.bench("fake", out=tmp_path / "run")
        except coresplit.UsageError as error:
            caught.append(error)

    thread = threading.Thread(target=measure)
    thread.start()
    thread.join(timeout=60)
    assert "main thread" in str(caught[0])


def test_errors_keep_their_parts_over_a_pickle() -> None:
    import pickle

    error = coresplit.UsageError("it is wrong", "give {option}", "trust")
    again = pickle.loads(pickle.dumps(error))
    assert (again.what, again.remedy, again.option) == ("it is wrong", "give trust", "trust")
    assert str(again) == "it is wrong; give trust"
    assert again.told("--trust") == "it is wrong; give --trust"
    assert coresplit.RunError("broken; mend it").remedy == "mend it"
