import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from coresplit.models import ModelSpec, build
from coresplit.optimizations import MAX_ERROR, OPTIMIZATIONS, optimization_named, relative_error


class Small(nn.Module):
    """A convolution with what freezing and folding change, and a count of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x))).flatten(1)


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", list(OPTIMIZATIONS))
def test_a_prepared_model_says_the_same_for_other_batches_too(name: str, module: nn.Module) -> None:
    forward = optimization_named(name).prepare(module, torch.randn(1, 3, 12, 12))
    for batch in (2, 7, 2):
        images = torch.randn(batch, 3, 12, 12)
        assert relative_error(module(images).detach(), forward(images)) < 1e-6


@pytest.mark.parametrize("name", list(OPTIMIZATIONS))
def test_a_prepared_model_runs_in_inference_mode(name: str, module: nn.Module) -> None:
    forward = optimization_named(name).prepare(module, torch.randn(2, 3, 12, 12))
    assert forward(torch.randn(2, 3, 12, 12)).is_inference()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("name", list(OPTIMIZATIONS))
def test_preparing_runs_the_example_and_leaves_the_module_usable(
    name: str, module: nn.Module
) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        optimization_named(name).prepare(module, torch.randn(2, 5, 12, 12))
    optimization_named(name).prepare(module, torch.randn(2, 3, 12, 12))
    assert module(torch.randn(2, 3, 12, 12)).requires_grad


def operators(forward: Callable[[Tensor], Tensor], images: Tensor) -> set[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        forward(images)
    return {event.key for event in profile.key_averages()}


def test_script_is_optimized_before_its_first_run(module: nn.Module) -> None:
    images = torch.randn(2, 3, 12, 12)
    plain = operators(OPTIMIZATIONS["none"].prepare(module, images), images)
    prepacked = operators(OPTIMIZATIONS["script"].prepare(module, images), images)
    assert {"aten::convolution", "aten::batch_norm"} <= plain
    assert not {"aten::convolution", "aten::batch_norm"} & prepacked
    assert "aten::to_mkldnn" in prepacked


def test_a_module_in_training_mode_is_not_scripted(module: nn.Module) -> None:
    with pytest.raises(RuntimeError, match="eval"):
        optimization_named("script").prepare(module.train(), torch.randn(2, 3, 12, 12))


def test_script_warns_of_nothing_and_hides_no_warning_of_others(module: nn.Module) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimization_named("script").prepare(module, torch.randn(2, 3, 12, 12))
        assert caught == []
        warnings.warn("`torch.jit.script` is deprecated", DeprecationWarning, stacklevel=1)
        assert len(caught) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_script_says_the_same_as_eager_on_inception() -> None:
    model = build(ModelSpec(name="inception"))
    images = model.make_inputs(4, seed=3)
    eager = OPTIMIZATIONS["none"].prepare(model.module, images)(images)
    script = OPTIMIZATIONS["script"].prepare(model.module, images[:1])(images)
    assert relative_error(eager, script) < MAX_ERROR / 10
    assert not torch.equal(eager, script)
