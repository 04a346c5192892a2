import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from coresplit.models import BuiltModel, ModelSpec, Survey, build, survey, weights_hash
from coresplit.models.initialization import calibration_images
from coresplit.records import ModelInput

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


@cache
def built(size: int = 75, seed: int = 0) -> BuiltModel:
    return build(ModelSpec(name="inception", size=size, seed=seed))


def module_of(model: BuiltModel) -> nn.Module:
    assert model.module is not None
    return model.module


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def subnormals(tensor: Tensor) -> int:
    size = tensor.detach().abs()
    return int(((size > 0) & (size < SMALLEST_NORMAL)).sum())


def test_a_built_model_is_in_eval_mode_without_the_auxiliary_head() -> None:
    model = built()
    assert not any(layer.training for layer in module_of(model).modules())
    assert not any(name.startswith("AuxLogits") for name in module_of(model).state_dict())
    assert model.parameters == 23_834_568
    assert model.inputs == (ModelInput(name="x", shape=(3, 75, 75)),)


@pytest.mark.parametrize("size", [75, pytest.param(299, marks=pytest.mark.slow)])
def test_the_outputs_depend_on_the_input(size: int) -> None:
    model = built(size)
    with torch.inference_mode():
        logits = module_of(model)(*model.make_inputs(32, seed=1))
    assert len(set(logits.argmax(dim=1).tolist())) >= 8
    spread = (logits - logits.mean(dim=0)).square().mean().sqrt()
    assert float(spread / logits.square().mean().sqrt()) > 0.3


@pytest.mark.parametrize("size", [75, 299])
def test_no_weight_statistic_or_activation_is_subnormal(size: int) -> None:
    model = built(size)
    found: dict[str, int] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = subnormals(output)

        return note

    hooks = [
        layer.register_forward_hook(watch(name)) for name, layer in module_of(model).named_modules()
    ]
    with torch.inference_mode():
        module_of(model)(*model.make_inputs(2, seed=1))
    for hook in hooks:
        hook.remove()
    for name, tensor in module_of(model).state_dict().items():
        found[f"weights of {name}"] = subnormals(tensor.float())
    assert len(found) > 800
    assert {name: count for name, count in found.items() if count} == {}


def test_the_scale_of_activations_stays_within_two_decades_over_all_layers() -> None:
    scales: list[float] = []
    model = built(299)
    hooks = [
        layer.register_forward_hook(lambda _l, _i, output: scales.append(float(output.std())))
        for layer in module_of(model).modules()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    with torch.inference_mode():
        module_of(model)(*model.make_inputs(2, seed=1))
    for hook in hooks:
        hook.remove()
    assert len(scales) == 94
    assert 0.1 < min(scales) < max(scales) < 10


@pytest.mark.slow
def test_another_process_with_another_number_of_threads_builds_the_same_weights() -> None:
    code = (
        "import torch; torch.set_num_threads(2);"
        "from coresplit.models import ModelSpec, build;"
        "print(build(ModelSpec(name='inception', size=75)).weights_hash)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == built().weights_hash
    assert len(built().weights_hash) == 16


def test_building_draws_nothing_from_torchs_own_generator() -> None:
    before = torch.get_rng_state()
    build(ModelSpec(name="inception", size=75))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_have_the_variance_of_he_and_no_filter_a_mean() -> None:
    state = module_of(built()).state_dict()
    weight = state["Mixed_6b.branch7x7_1.conv.weight"]
    assert float(weight.var()) == pytest.approx(2 / 768, rel=0.02)
    means = state["Conv2d_2a_3x3.conv.weight"].mean(dim=(1, 2, 3))
    assert float(means.abs().max()) < 1e-7


def test_the_hash_names_the_seed_but_not_the_size() -> None:
    assert built(75).weights_hash == built(299).weights_hash
    assert built(75).weights_hash != built(75, seed=1).weights_hash


def test_the_hash_of_a_seed_does_not_change_between_versions() -> None:
    assert built().weights_hash == "532ba63e72d92118"


def test_the_hash_changes_with_one_weight_and_with_one_statistic() -> None:
    norm = nn.BatchNorm2d(4)
    hashes = {weights_hash(norm)}
    assert norm.running_var is not None
    for tensor in (norm.weight, norm.running_var):
        tensor.data[3] += 1
        hashes.add(weights_hash(norm))
    assert len(hashes) == 3


def test_the_survey_of_inception_finds_the_third_convolutions_output_and_all_operations() -> None:
    model = built(299)
    found = survey(module_of(model), model.make_inputs(2, seed=0))
    assert found.largest_tensor == 64 * 147 * 147 * 4
    assert found.flops == 11_426_432_192


def test_a_survey_does_not_import_the_compiler() -> None:
    """It takes as long to import as PyTorch itself, and 70 MB in every instance."""
    script = (
        "import sys\n"
        "from torch import nn, ones\n"
        "from coresplit.models import survey\n"
        "assert survey(nn.Linear(4, 8), (ones(3, 4),)).flops == 64\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_the_survey_follows_the_branch_that_is_taken() -> None:
    script = (
        "import torch\n"
        "from torch import nn, ones\n"
        "from coresplit.models import survey\n"
        "class Branches(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.one, self.other = nn.Linear(4, 8), nn.Linear(4, 8)\n"
        "    def forward(self, x):\n"
        "        short, long = self.one, lambda x: self.other(self.one(x)[:, 4:])\n"
        "        return torch.cond(x.sum() > 0, short, long, (x,))\n"
        "model = Branches().eval()\n"
        "with torch.inference_mode():\n"
        "    model(ones(2, 4))\n"
        "print(survey(model, (ones(2, 4),)).flops, survey(model, (-ones(2, 4),)).flops)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"64", b"128"]


def test_the_survey_of_a_loop_is_unknown() -> None:
    class Loop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: tuple[Tensor, Tensor] = torch._higher_order_ops.while_loop(  # type: ignore[no-untyped-call]
                lambda count, x: count < 3,
                lambda count, x: (count + 1, x @ x),
                (torch.tensor(0), x),
            )
            return found[1]

    assert survey(Loop(), (torch.ones(4, 4)[None],)) == Survey()


def test_the_survey_of_two_layers_is_exact_and_leaves_no_hook_behind() -> None:
    layers = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    found = survey(layers, (torch.ones(3, 4),))
    assert (found.largest_tensor, found.flops) == (8 * 4, 2 * (4 * 8 + 8 * 2))
    assert not any(part._forward_hooks for part in layers.modules())


def test_the_survey_counts_attention_on_a_cpu() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert survey(Attention(), (torch.ones(2, 3, 5, 8),)).flops == 2 * (2 * 3 * 5 * 5 * 8)


def test_the_outputs_of_inception_did_not_change() -> None:
    model = built(75)
    with torch.inference_mode():
        logits = module_of(model)(*model.make_inputs(4, seed=1))
    assert logits.argmax(dim=1).tolist() == [674, 736, 78, 48]


@pytest.mark.parametrize(
    ("size", "count"), [(75, 16), (76, 4), (150, 4), (151, 1), (224, 1), (299, 1)]
)
def test_calibration_costs_about_one_image_of_299_pixels(size: int, count: int) -> None:
    images = calibration_images(size, seed=0)
    assert tuple(images.shape) == (count, 3, size, size)
    assert count * size**2 <= 300**2
