"""TorchScript that an instance stores so that others need not make it again."""

from pathlib import Path

import msgspec
import pytest
import torch
from small_networks import subject_of
from torch import Tensor, nn

from coresplit.optimizations import optimization_named
from coresplit.optimizations.base import Artifact, PrepareRequest

pytestmark = pytest.mark.usefixtures("same_process")


def stored(name: str, request: PrepareRequest) -> Artifact | None:
    request = msgspec.structs.replace(request, others=True)
    return optimization_named(name).prepare(request).artifact


@pytest.mark.parametrize(("name", "network"), [("script", "images"), ("trace", "texts")])
def test_what_is_loaded_computes_the_same_bits(
    name: str, network: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # which can be set once for a process
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda count: None)
    request = subject_of(network, cache)
    artifact = stored(name, request)
    assert artifact is not None
    loaded = artifact.load(request.cpus)
    assert loaded.threads == 1
    for batch in (1, 3):
        inputs = request.make_inputs(batch, 5)
        expected = optimization_named(name).prepare(request).bind(inputs)()
        found = loaded.bind(inputs)()
        assert all(map(torch.equal, found, expected))


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class LargeTripling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 100:
            return x * 3
        return x * 2


def test_code_that_differs_only_where_no_example_reaches_is_stored_for_itself(cache: Path) -> None:
    request = subject_of("fixed", cache)
    paths = set()
    for module in (Doubling(), LargeTripling()):
        artifact = stored("script", msgspec.structs.replace(request, module=module.eval()))
        assert artifact is not None
        paths.add(artifact.path)
    assert len(paths) == 2


def test_nothing_is_stored_unless_others_will_load_it(cache: Path) -> None:
    request = subject_of("images", cache)
    assert optimization_named("script").prepare(request).artifact is None
    assert optimization_named("none").prepare(request).artifact is None


def test_a_model_is_prepared_although_it_cannot_be_stored() -> None:
    # no folder can be made in /proc, not even by root
    request = subject_of("images", Path("/proc/self/nothing"))
    assert stored("script", request) is None
