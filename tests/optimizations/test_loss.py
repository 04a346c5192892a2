import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from small_networks import subject_of
from torch import Tensor

from coresplit.errors import EnvironmentFault
from coresplit.optimizations import (
    ACCURACY_INPUTS,
    OPTIMIZATIONS,
    PrepareRequest,
    compare,
    measure_accuracy_drop,
    reference,
)
from coresplit.optimizations.onnx_export import onnx_file

pytestmark = pytest.mark.usefixtures("same_process")

slow = pytest.mark.slow


class Counting:
    """Eager outputs, off by some noise, and the batches that were asked for."""

    def __init__(self, request: PrepareRequest, noise: float = 0.0) -> None:
        self._eager = reference(request)
        self._noise = noise
        self.batches: list[int] = []
        self.facts = self._eager.facts
        self.threads = 1
        self.artifact = None

    def bind(
        self, inputs: tuple[Tensor, ...], like: Callable[[], tuple[Tensor, ...]] | None = None
    ) -> Callable[[], tuple[Tensor, ...]]:
        self.batches.append(len(inputs[0]))
        forward = self._eager.bind(inputs)
        generator = torch.Generator().manual_seed(len(self.batches))

        def noisy() -> tuple[Tensor, ...]:
            return tuple(
                output + self._noise * torch.randn(output.shape, generator=generator)
                for output in forward()
            )

        return noisy


def test_the_loss_is_that_over_all_inputs_at_once(tmp_path: Path) -> None:
    request = subject_of("images", tmp_path)
    eager, prepared = Counting(request), Counting(request, noise=0.05)
    found = measure_accuracy_drop(request, prepared, eager, seed=5, name="int8")
    assert prepared.batches == [32] * 8
    inputs = request.make_inputs(ACCURACY_INPUTS, 5)
    chunks = Counting(request, noise=0.05)
    noisy = [chunks.bind((part,))() for part in torch.split(inputs[0], 32)]
    whole = tuple(torch.cat(parts) for parts in zip(*noisy, strict=True))
    expected = compare(eager.bind(inputs)(), whole)
    assert found.compared == ACCURACY_INPUTS
    assert found.error == pytest.approx(expected.error, rel=1e-4)
    assert found.agreement == expected.agreement


def test_what_is_exact_has_no_loss(tmp_path: Path) -> None:
    request = subject_of("images", tmp_path)
    found = measure_accuracy_drop(
        request, reference(request), reference(request), seed=1, name="int8"
    )
    assert found.error == 0.0
    assert found.agreement == 1.0


def test_the_reference_runs_once_for_all_that_are_compared_with_it(tmp_path: Path) -> None:
    request = subject_of("images", tmp_path)
    first, second = Counting(request), Counting(request)
    once = measure_accuracy_drop(request, reference(request), first, seed=5, name="int8")
    again = measure_accuracy_drop(request, reference(request), second, seed=5, name="bf16")
    assert once == again
    assert sum(first.batches) == ACCURACY_INPUTS + 2
    assert sum(second.batches) == 2
    third = Counting(request)
    other = msgspec.structs.replace(request, identity="retrained")
    measure_accuracy_drop(other, reference(request), third, seed=5, name="int8")
    assert sum(third.batches) == ACCURACY_INPUTS + 2


def test_what_was_found_is_kept_for_instances_of_the_same_settings(tmp_path: Path) -> None:
    request = subject_of("images", tmp_path)
    first, second = Counting(request), Counting(request)
    once = measure_accuracy_drop(request, first, reference(request), seed=5, name="int8")
    again = measure_accuracy_drop(request, second, reference(request), seed=5, name="int8")
    assert once == again
    assert (sum(first.batches), sum(second.batches)) == (ACCURACY_INPUTS, 0)
    second.facts = {"precision": "other"}
    measure_accuracy_drop(request, second, reference(request), seed=5, name="int8")
    assert sum(second.batches) == ACCURACY_INPUTS


def test_a_damaged_reference_is_computed_again(tmp_path: Path) -> None:
    request = subject_of("images", tmp_path)
    measure_accuracy_drop(request, reference(request), Counting(request), seed=5, name="int8")
    (entry,) = (each for each in request.cache.entries() if each.kind == "reference")
    (entry.path / "3.pt").write_bytes(b"spoilt")
    eager = Counting(request)
    assert (
        measure_accuracy_drop(request, reference(request), eager, seed=5, name="bf16").error == 0.0
    )
    assert sum(eager.batches) == ACCURACY_INPUTS + 2


def test_large_outputs_are_compared_in_smaller_chunks_and_over_fewer_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = subject_of("images", tmp_path)
    each = 30 * 4
    monkeypatch.setattr("coresplit.optimizations.accuracy.measure._CHUNK_BYTES", 5 * each)
    monkeypatch.setattr("coresplit.optimizations.accuracy.measure._STORED_BYTES", 23 * each)
    prepared = Counting(request)
    found = measure_accuracy_drop(request, prepared, reference(request), seed=5, name="int8")
    assert prepared.batches == [5, 5, 5, 5]
    assert found.compared == 20


@slow
def test_an_onnx_file_is_compared_with_itself_as_it_stands(tmp_path: Path) -> None:
    module = subject_of("images", tmp_path)
    file = tmp_path / "model.onnx"
    for part in onnx_file(module).parent.glob("model.onnx*"):
        shutil.copy(part, tmp_path)
    request = msgspec.structs.replace(module, module=None, onnx=file, identity="file")
    inputs = request.make_inputs(6, 0)
    plain = reference(request)
    expected = plain.bind(inputs)()
    assert compare(reference(module).bind(inputs)(), expected).error < 1e-5
    for name in ("onnxruntime", "openvino"):
        found = OPTIMIZATIONS[name].prepare(request).bind(inputs)()
        assert compare(expected, found).error < 1e-5
    loss = measure_accuracy_drop(
        request, OPTIMIZATIONS["int8"].prepare(request), plain, seed=5, name="int8"
    )
    assert 1e-4 < loss.error < 0.1
    assert loss.agreement is not None and loss.agreement > 0.9
    assert {entry.kind for entry in request.cache.entries()} == {
        "onnx", "int8", "reference", "loss",
    }  # fmt: skip


def test_an_onnx_file_without_onnx_runtime_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coresplit.optimizations.accuracy.measure.find_spec", lambda name: None)
    request = subject_of("images", tmp_path)
    request = msgspec.structs.replace(request, module=None, onnx=tmp_path / "model.onnx")
    with pytest.raises(EnvironmentFault) as caught:
        reference(request)
    assert str(caught.value).endswith("pip install 'coresplit[onnxruntime]'")
