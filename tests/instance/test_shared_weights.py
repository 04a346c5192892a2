"""Weights of several instances lie in memory once, and are what they were."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from served_rows import Front, make_importable, model, spec
from torch import nn

from coresplit.cache import VARIABLE, Cache
from coresplit.errors import StorageError
from coresplit.instance.child import weights
from coresplit.instance.child.weights import map_weights
from coresplit.models import build

KEY = {"model": "of this test"}


class Tied(nn.Module):
    """Weights in NHWC, a buffer that no state has, one parameter under two names."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 8, 3)
        nhwc = self.conv.weight.data.contiguous(memory_format=torch.channels_last)
        self.conv.weight.data = nhwc
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.shift: torch.Tensor
        self.register_buffer("shift", torch.randn(8), persistent=False)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = self.norm(self.conv(x)).mean((2, 3))
        found: torch.Tensor = self.second(self.first(seen + self.shift))
        return found


def mapped(data: int) -> str:
    """The file that an address is mapped from; empty where it is none."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(each, 16) for each in line.split()[0].split("-"))
        if first <= data < last:
            return line.split(maxsplit=5)[5] if "/" in line else ""
    raise AssertionError(f"nothing is at {data:x}")


def test_a_module_computes_the_same_with_mapped_weights(tmp_path: Path) -> None:
    module, image = Tied(1), torch.randn(2, 3, 9, 9)
    before, strides = module(image), module.conv.weight.stride()
    map_weights(module, KEY, Cache(tmp_path))
    assert torch.equal(module(image), before)
    assert module.conv.weight.stride() == strides
    assert module.first.weight.data_ptr() == module.second.weight.data_ptr()
    for tensor in (module.conv.weight, module.norm.running_mean, module.shift):
        assert tensor is not None
        assert mapped(tensor.data_ptr()).startswith(str(tmp_path))


def test_a_second_module_of_the_same_key_has_the_pages_of_the_first(tmp_path: Path) -> None:
    first, second, image = Tied(1), Tied(2), torch.randn(2, 3, 9, 9)
    second.shift.copy_(first.shift)
    assert not torch.equal(first(image), second(image))
    for each in (first, second):
        map_weights(each, KEY, Cache(tmp_path))
    assert torch.equal(first(image), second(image))


def test_a_buffer_that_no_state_has_keeps_its_value(tmp_path: Path) -> None:
    first, second = Tied(1), Tied(1)
    second.shift += 1
    before = second.shift.clone()
    for each in (first, second):
        map_weights(each, KEY, Cache(tmp_path))
    assert torch.equal(second.shift, before)
    assert not torch.equal(first.shift, before)


def test_a_module_with_another_buffer_does_not_get_the_file_of_one_without(tmp_path: Path) -> None:
    map_weights(Tied(1), KEY, Cache(tmp_path))
    more = Tied(1)
    more.register_buffer("scale", torch.ones(()), persistent=False)
    map_weights(more, KEY, Cache(tmp_path))
    assert mapped(more.first.weight.data_ptr()).startswith(str(tmp_path))


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_FILE", "/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        map_weights(Tied(1), KEY, Cache(tmp_path))


def test_what_is_written_to_mapped_weights_stays_in_the_process(tmp_path: Path) -> None:
    first, second = Tied(1), Tied(1)
    map_weights(first, KEY, Cache(tmp_path))
    with torch.no_grad():
        first.first.weight.fill_(7)
    map_weights(second, KEY, Cache(tmp_path))
    assert not torch.equal(first.first.weight, second.first.weight)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_importable(tmp_path, monkeypatch)
    yield


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(("optimization", "shares"), [("none", True), ("onnxruntime", False)])
def test_an_instance_maps_the_weights_that_it_computes_with_and_no_others(
    optimization: str, shares: bool
) -> None:
    front = Front(spec(optimization))
    try:
        ready = front.ready()
        assert 0 < ready.resident <= ready.memory
        maps = Path(f"/proc/{front.process.pid}/maps").read_text()
        assert bool(re.search(r"weights-\w+/weights\.pt$", maps, re.MULTILINE)) == shares
    finally:
        front.close()


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
def test_an_instance_without_a_usable_cache_has_weights_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777 | stat.S_ISVTX)
    monkeypatch.setenv(VARIABLE, str(cache))
    front = Front(spec())
    try:
        front.ready()
        inputs = build(model()).make_inputs(2, seed=1)
        assert front.infer(front.raw(inputs)).refused == ("",)
        assert "weights.pt" not in Path(f"/proc/{front.process.pid}/maps").read_text()
    finally:
        front.close()
