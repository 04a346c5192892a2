"""What is compared before PyTorch is done without, and how tensors become arrays. No process."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from coresplit.cache import Cache
from coresplit.errors import PrepareFailed
from coresplit.instance.child.handover import Handover, apart
from coresplit.instance.child.serving import stored_as
from coresplit.instance.child.tensors import over_arrays
from coresplit.instance.messages import Ready
from coresplit.models.files import file_hash
from coresplit.optimizations import Forward
from coresplit.optimizations.base import Artifact
from coresplit.records import ModelInput, ModelOutput


def ready(error: float = 0.0) -> Ready:
    return Ready(
        threads=1,
        interop_threads=1,
        cpus=(0,),
        allocator="default",
        start_s=1.0,
        prepare_s=2.0,
        error=error,
        largest_tensor=0,
        flops=0,
        inputs=(ModelInput(name="x", shape=(3,)),),
        parameters=1,
        weights="w",
        memory=1,
    )


def a_handover(path: Path, error: float = 0.0) -> Handover:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    artifact = Artifact(path=str(path), loaded_by="nowhere:load")
    return Handover(artifact=artifact, ready=ready(error), inputs=(x,), outputs=(x * 2, x > 3))


def test_what_was_kept_is_taken_until_a_file_of_it_changes(tmp_path: Path) -> None:
    cache, file = Cache(tmp_path / "cache"), tmp_path / "model.onnx"
    file.write_text("a model")
    kept = a_handover(file)
    folder = kept.keep({"model": "m"}, cache)
    taken = Handover.take(folder, cache)
    assert (taken.artifact, taken.ready) == (kept.artifact, kept.ready)
    assert all(map(np.array_equal, taken.inputs + taken.outputs, kept.inputs + kept.outputs))
    file.unlink()
    with pytest.raises(PrepareFailed, match="gone"):
        Handover.take(folder, cache)
    file.write_text("a model")
    (folder / "facts.json").write_text("{}")
    with pytest.raises(PrepareFailed, match="gone"):
        Handover.take(folder, cache)
    with pytest.raises(PrepareFailed, match="gone"):
        Handover.take(tmp_path, cache)


def test_a_model_file_of_the_user_that_was_replaced_is_not_taken(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    file, weights = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    file.write_text("a model")
    weights.write_text("its weights")
    made = a_handover(file)
    hashed = msgspec.structs.replace(made.ready, weights=file_hash(file, weights))
    kept = msgspec.structs.replace(made, files=(str(file), str(weights)), ready=hashed)
    folder = kept.keep({"model": "m"}, cache)
    assert Handover.take(folder, cache).files == kept.files
    weights.write_text("new weights")
    with pytest.raises(PrepareFailed, match="replaced"):
        Handover.take(folder, cache)


def test_a_model_file_in_the_cache_must_be_as_it_was_built(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def build(folder: Path) -> None:
        (folder / "model.onnx").write_text("a model")

    built = cache.get("onnx", {"a": "b"}, build)
    folder = a_handover(built / "model.onnx").keep({"model": "m"}, cache)
    Handover.take(folder, cache)
    (built / "model.onnx").write_text("another")
    with pytest.raises(PrepareFailed, match="gone"):
        Handover.take(folder, cache)


def test_outputs_may_differ_as_much_as_those_of_the_optimization() -> None:
    exact, lossy = a_handover(Path("/m")), a_handover(Path("/m"), error=0.05)
    scores, flags = exact.outputs
    # the largest distance from the mean over the inputs is 9
    far = scores + np.float32(0.09)
    lossy.check((far, flags))
    exact.check((scores + np.float32(0.0008), flags))
    for wrong in ((far, flags), (scores, ~flags), (scores,), (scores * np.nan, flags)):
        with pytest.raises(PrepareFailed, match="changed"):
            exact.check(wrong)


@pytest.mark.parametrize(
    ("expected", "found", "distance"),
    [
        ([[1.0, 2.0], [3.0, 2.0]], [[1.0, 2.0], [3.0, 2.5]], 0.5),
        # it does not vary: the scale is its magnitude
        ([[4.0], [4.0]], [[4.0], [4.5]], 0.125),
        ([[0.0], [0.0]], [[0.0], [0.0]], 0.0),
        ([[0.0], [0.0]], [[0.0], [1.0]], math.inf),
        ([[math.nan], [1.0]], [[math.nan], [1.0]], 0.0),
        ([[math.inf], [1.0]], [[math.nan], [math.inf]], math.inf),
    ],
)
def test_how_far_outputs_are_apart(
    expected: list[list[float]], found: list[list[float]], distance: float
) -> None:
    assert apart(np.array(expected), np.array(found)) == distance


def test_outputs_of_another_shape_or_type_are_infinitely_far() -> None:
    one = np.zeros((2, 3), np.float32)
    assert apart(one, one[:1]) == apart(one, one.astype(np.float64)) == math.inf
    assert apart(one[:, :0], one[:, :0]) == 0
    assert apart(np.array([[1], [2]]), np.array([[1], [3]])) == math.inf


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20),
    st.floats(1e-3, 1e3),
)
def test_the_distance_has_no_unit(values: list[float], factor: float) -> None:
    one = np.array(values).reshape(-1, 1)
    other = one[::-1]
    assert apart(one * factor, other * factor) == pytest.approx(apart(one, other), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("float32", "float32"),
        ("bool", "bool"),
        ("int64", "int64"),
        ("bfloat16", "uint16"),
        ("float8_e4m3fn", "uint8"),
        ("complex32", "uint32"),
    ],
)
def test_types_that_numpy_lacks_are_stored_as_integers(name: str, stored: str) -> None:
    assert stored_as(name) == np.dtype(stored)


def test_a_type_without_a_size_cannot_be_stored() -> None:
    with pytest.raises(ValueError, match="object_of_mine"):
        stored_as("object_of_mine")


class Given:
    """A prepared model that returns what it was made with."""

    facts: dict[str, str] = {}  # noqa: RUF012 (as the protocol has it)
    threads = 1
    artifact = None

    def __init__(self, *outputs: Tensor) -> None:
        self.outputs = outputs
        self.likes: list[Forward | None] = []

    def bind(self, inputs: tuple[Tensor, ...], like: Forward | None = None) -> Forward:
        self.likes.append(like)
        return lambda: (*self.outputs, *inputs)


def arrays_of(model: Given, *dtypes: str) -> tuple[NDArray[np.generic], ...]:
    outputs = [ModelOutput(name="y", shape=(), dtype=each) for each in dtypes]
    return over_arrays(model, outputs)((), None)()


def test_tensors_become_arrays_of_the_types_that_were_told() -> None:
    numbers = torch.tensor([1.5, -2.0])
    half, whole = arrays_of(Given(numbers.bfloat16(), numbers.int()), "bfloat16", "int64")
    assert half.tobytes() == bytes.fromhex("c03f00c0")
    assert (whole.dtype.name, whole.tolist()) == ("int64", [1, -2])
    (conj,) = arrays_of(Given(torch.tensor([1 + 2j]).conj()), "complex64")
    assert conj.tolist() == [1 - 2j]
    (turned,) = arrays_of(Given(torch.arange(6).reshape(2, 3).T), "int64")
    assert turned.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_forwards_over_arrays_share_memory_as_those_over_tensors_do() -> None:
    model = Given()
    bind = over_arrays(model, [ModelOutput(name="y", shape=(2,), dtype="float32")])
    inputs = np.zeros((1, 2), np.float32)
    first = bind((inputs,), None)
    bind((inputs,), first)
    assert model.likes[0] is None
    assert model.likes[1] is not None
    inputs[:] = 3
    assert first()[0].tolist() == [[3.0, 3.0]]
