"""Instances of a server do without PyTorch once one of them has prepared and compared the model."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from served_rows import BATCHES, Front, make_importable, model, spec

from coresplit.cache import VARIABLE, Cache
from coresplit.instance import Process
from coresplit.instance.messages import HandedOver, InstanceSpec, Ready, Serve
from coresplit.machine.numa import memory_can_be_bound
from coresplit.models import build

pytestmark = pytest.mark.slow
RUNTIMES = "onnxruntime", "openvino", "int8"


@pytest.fixture(scope="module", autouse=True)
def importable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The networks can be imported, by instances too."""
    with pytest.MonkeyPatch.context() as patch:
        make_importable(tmp_path_factory.mktemp("modules"), patch)
        yield


@pytest.fixture
def fronts() -> Iterator[list[Front]]:
    """Instances that are ended after the test."""
    found: list[Front] = []
    yield found
    for each in found:
        each.close()


def after(ready: Ready, optimization: str) -> InstanceSpec:
    """The spec of an instance that is prepared from what another has left."""
    found = spec(optimization)
    assert isinstance(found.serve, Serve)
    serve = msgspec.structs.replace(found.serve, handover=ready.handover)
    return msgspec.structs.replace(found, serve=serve)


def has_torch(front: Front) -> bool:
    return "libtorch" in Path(f"/proc/{front.process.pid}/maps").read_text()


def bits(front: Front) -> list[bytes]:
    """The outputs of one request of three rows."""
    rows = front.raw(build(model()).make_inputs(3, seed=7))
    front.infer(rows)
    return [
        front.arena.view(at, 3 * size).tobytes()
        for at, size in zip(rows.outputs, (20, 32), strict=True)
    ]


@pytest.mark.parametrize("optimization", RUNTIMES)
def test_an_instance_lets_go_of_pytorch_and_tells_others_how_to_do_without(
    fronts: list[Front], optimization: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(spec(optimization)))
    first = fronts[0].ready()
    assert not has_torch(fronts[0])
    # whoever imports it fails
    (tmp_path / "torch.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fronts.append(Front(after(first, optimization)))
    second = fronts[1].ready()
    monkeypatch.undo()
    assert first.handover.folder == second.handover.folder
    assert Path(first.handover.folder).is_dir()
    assert first.handover.batches == second.handover.batches == BATCHES
    assert second.handover.grown >= first.handover.grown
    assert second.handover.peak >= first.handover.peak > 0
    assert min(first.resident, second.resident) > first.handover.peak
    for name in ("inputs", "outputs", "weights", "parameters", "facts", "error", "compared"):
        assert getattr(second, name) == getattr(first, name), name
    assert second.memory < first.memory
    assert bits(fronts[0]) == bits(fronts[1])


def test_what_computes_with_pytorch_keeps_it(fronts: list[Front]) -> None:
    fronts.append(Front(spec("none")))
    assert fronts[0].ready().handover.folder == ""
    assert has_torch(fronts[0])


def test_torchscript_is_made_once_for_all_instances(
    fronts: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts.append(Front(spec("script")))
    first = fronts[0].ready()
    expected = bits(fronts[0])
    # the code of the network is gone
    monkeypatch.setenv("PYTHONPATH", "")
    fronts.append(Front(after(first, "script")))
    second = fronts[1].ready()
    monkeypatch.undo()
    assert has_torch(fronts[1])
    assert first.handover.folder == second.handover.folder
    for name in ("inputs", "outputs", "weights", "threads", "interop_threads", "facts", "error"):
        assert getattr(second, name) == getattr(first, name), name
    assert bits(fronts[1]) == expected


def test_an_instance_prepares_the_model_where_the_handover_is_gone_or_damaged(
    fronts: list[Front], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    fronts.append(Front(spec("onnxruntime")))
    first = fronts[0].ready()
    expected = bits(fronts[0])
    example = Path(first.handover.folder) / "example.npz"
    example.write_bytes(example.read_bytes()[:-1])
    fronts.append(Front(after(first, "onnxruntime")))
    whole = fronts[1].ready()
    assert whole.handover.folder == ""
    assert has_torch(fronts[1])
    Cache().clear()
    fronts.append(Front(after(first, "onnxruntime")))
    assert fronts[2].ready().handover.folder == ""
    assert bits(fronts[1]) == bits(fronts[2]) == expected


@pytest.mark.skipif(not memory_can_be_bound(), reason="memory cannot be bound here")
def test_an_instance_tells_its_own_memory_nodes_not_those_of_the_one_before(
    fronts: list[Front],
) -> None:
    fronts.append(Front(spec("onnxruntime", nodes=(0,))))
    first = fronts[0].ready()
    # there is no such node
    elsewhere = msgspec.structs.replace(after(first, "onnxruntime"), nodes=(1023,))
    fronts.append(Front(elsewhere))
    assert first.facts["memory nodes"] == "0"
    assert fronts[1].ready().facts["memory nodes"] == "not bound"


def test_an_instance_of_a_sweep_keeps_pytorch() -> None:
    process = Process(msgspec.structs.replace(spec("onnxruntime"), serve=None))
    try:
        assert process.wait_ready().handover == HandedOver()
        timed = process.time_forward_passes(1, 2, 10.0, 60.0)
        assert len(timed.durations) == 2
    finally:
        process.close()
