"""A run is extended in place: what is added is measured, the rest stays as it is."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from plan_runs import MACHINE, four_cores

from coresplit import store
from coresplit.errors import UsageError
from coresplit.instance import FakeClock, FakeInstance, InstanceSpec, LocalHost
from coresplit.models import ModelSpec
from coresplit.records import Cell, Run
from coresplit.workflows.request import BenchRequest, extended, refuse_other_model, settings_of


def ignore(line: str) -> None:
    """Hears what is of no use here."""


def run() -> Run:
    return four_cores(("script",))


def test_lists_are_united_numbers_ascending_and_names_in_order() -> None:
    request = BenchRequest(
        resume=Path("four"),
        optimizations=("none", "script"),
        threads=(3,),
        batches=(2, 16),
        setting=("packed",),
    )
    found = extended(run(), request, MACHINE, ignore)
    assert found.optimizations == ("script", "none")
    assert found.threads == (1, 2, 3, 4)
    assert found.batches == (1, 2, 4, 8, 16)
    assert found.settings == ("isolated", "packed")
    assert found.cores == 4


def test_what_is_not_named_stays_as_it_was() -> None:
    before = run().settings
    found = extended(run(), BenchRequest(resume=Path("four")), MACHINE, ignore)
    assert found == msgspec.structs.replace(before, cores=4)


def test_threads_beyond_the_machine_are_refused() -> None:
    with pytest.raises(UsageError, match="8 is too many"):
        extended(run(), BenchRequest(resume=Path("four"), threads=(8,)), MACHINE, ignore)


def test_a_rewritten_manifest_keeps_what_was_measured(tmp_path: Path) -> None:
    store.save(tmp_path / "four", run())
    before, writer = store.reopen(tmp_path / "four")
    with writer:
        wider = msgspec.structs.replace(before.settings, batches=(1, 2, 4, 8, 16))
        writer.rewrite(msgspec.structs.replace(before, settings=wider))
        writer.append(before.measurements[0])
    after = store.load(tmp_path / "four")
    assert after.settings.batches == (1, 2, 4, 8, 16)
    assert after.measurements == before.measurements


def test_the_inputs_of_a_run_are_settled_and_go_to_its_instances() -> None:
    settings = msgspec.structs.replace(run().settings, inputs="rotate")
    before = msgspec.structs.replace(run(), settings=settings)
    assert extended(before, BenchRequest(resume=Path("four")), MACHINE, ignore).inputs == "rotate"
    assert (
        settings_of(BenchRequest(model="inception", inputs="rotate"), MACHINE, ignore).inputs
        == "rotate"
    )
    assert settings_of(BenchRequest(model="inception"), MACHINE, ignore).inputs == "hot"
    made: list[InstanceSpec] = []

    def start(spec: InstanceSpec) -> FakeInstance:
        made.append(spec)
        return FakeInstance(spec, lambda *_: 1.0, FakeClock())

    host = LocalHost(ModelSpec(name="inception"), MACHINE, "rotate", start)
    host.start(Cell(optimization="script", threads=1, batch=1))
    assert made[0].inputs == "rotate"


def of_model(source: str) -> Run:
    model = msgspec.structs.replace(run().model, source=source)
    return msgspec.structs.replace(run(), model=model)


def test_the_model_of_a_run_may_be_named_again() -> None:
    for source in ("inception", "hf:gpt2", "timm:resnet18", "package.module:make"):
        refuse_other_model(of_model(source), BenchRequest(model=source, resume=Path("four")))
    refuse_other_model(of_model("inception"), BenchRequest(resume=Path("four")))


def test_the_file_of_a_model_may_be_spelled_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").touch()
    (tmp_path / "saved").mkdir()
    for source, named in (
        ("model.onnx", "./model.onnx"),
        ("model.onnx", str(tmp_path / "model.onnx")),
        ("hf:./saved", f"hf:{tmp_path}/saved"),
    ):
        refuse_other_model(of_model(source), BenchRequest(model=named, resume=Path("four")))


@pytest.mark.parametrize(
    ("source", "named"),
    [("inception", "resnet50"), ("model.onnx", "other.onnx"), ("inception", "./inception")],
)
def test_another_model_is_refused_and_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model.onnx", "other.onnx", "inception"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"leave out the model") as caught:
        refuse_other_model(of_model(source), BenchRequest(model=named, resume=Path("four")))
    assert f"run of {source}, not of {named};" in str(caught.value)


def test_the_command_line_accepts_the_model_of_the_run_and_refuses_another(
    tmp_path: Path, coresplit: Callable[..., tuple[int, str, str]]
) -> None:
    store.save(tmp_path / "four", of_model("inception"))
    code, _, err = coresplit("bench", "resnet50", "--resume", tmp_path / "four")
    assert code == 2
    assert "a run of inception, not of resnet50" in err
    code, _, err = coresplit("bench", "inception", "--resume", tmp_path / "four")
    # it gets as far as the machine, which is not that of the run
    assert code == 2
    assert "measured under other conditions" in err
