import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from coresplit.models import BuiltModel, ModelSpec, build, survey
from coresplit.models.initialization import fill
from coresplit.models.zoo import bert, gpt2
from coresplit.models.zoo.bert import Bert
from coresplit.models.zoo.gpt2 import GPT2
from coresplit.records import ModelInput

NAMES = ["bert", "gpt2"]
COUNTS = {"bert": 109_482_240, "gpt2": 124_439_808}


@cache
def built(name: str) -> BuiltModel:
    return build(ModelSpec(name=name, size=16))


def module_of(name: str) -> nn.Module:
    module = built(name).module
    assert module is not None
    return module


def shallow(name: str) -> nn.Module:
    """Two layers, and weights as they are drawn for the whole."""
    module = Bert(num_hidden_layers=2) if name == "bert" else GPT2(n_layer=2)
    fill(module, seed=0)
    return module.eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_language_networks_are_counted_as_published(name: str) -> None:
    assert built(name).parameters == COUNTS[name]


def test_the_inputs_are_named_and_ranged_for_the_size_asked() -> None:
    tokens = ModelInput(name="input_ids", shape=(16,), dtype="int64", low=0, high=30521)
    mask = ModelInput(name="attention_mask", shape=(16,), dtype="int64", low=1, high=1)
    assert built("bert").inputs == (tokens, mask)
    assert built("gpt2").inputs == (
        ModelInput(name="input_ids", shape=(16,), dtype="int64", low=0, high=50256),
    )


def test_outputs_are_tuples_of_tensors_by_position() -> None:
    with torch.inference_mode():
        encoded = module_of("bert")(*built("bert").make_inputs(2, seed=0))
        scores = module_of("gpt2")(*built("gpt2").make_inputs(2, seed=0))
    assert [tuple(each.shape) for each in encoded] == [(2, 16, 768), (2, 768)]
    assert [tuple(each.shape) for each in scores] == [(2, 16, 50257)]


def test_leaving_out_the_segments_computes_the_same_as_zeros() -> None:
    tokens, mask = built("bert").make_inputs(2, seed=0)
    module = module_of("bert")
    assert isinstance(module, Bert)
    with torch.inference_mode():
        stated = module.network(tokens, mask, token_type_ids=torch.zeros_like(tokens))
        assert torch.equal(module(tokens, mask)[0], stated.last_hidden_state)


def test_a_token_of_gpt2_sees_only_those_before_it() -> None:
    (tokens,) = built("gpt2").make_inputs(1, seed=0)
    changed = tokens.clone()
    changed[0, 8] = (changed[0, 8] + 1) % 50257
    with torch.inference_mode():
        before, after = (module_of("gpt2")(each)[0][0] for each in (tokens, changed))
    torch.testing.assert_close(before[:8], after[:8])
    assert float((before[8:] - after[8:]).abs().amax(dim=1).min()) > 1e-3


def test_operations_include_attention_and_the_head() -> None:
    length, width, layers = 16, 768, 12
    body = layers * 12 * width**2 + layers * 2 * length * width
    found = {name: survey(module_of(name), built(name).make_inputs(1, seed=0)) for name in NAMES}
    assert found["bert"].flops == 2 * (length * body + width**2)
    assert found["gpt2"].flops == 2 * length * (body + width * 50257)


@pytest.mark.slow
def test_a_file_with_tied_weights_under_one_name_loads(tmp_path: Path) -> None:
    from safetensors.torch import save_model

    other = GPT2()
    fill(other, seed=5)
    path = tmp_path / "model.safetensors"
    save_model(other.network, str(path))
    loaded = build(ModelSpec(name="gpt2", weights=str(path)))
    assert loaded.module is not None
    expected = other.state_dict()
    assert all(torch.equal(each, expected[key]) for key, each in loaded.module.state_dict().items())


def keys_of(name: str) -> list[str]:
    network: Any = module_of(name).network
    return list(network.state_dict())


def test_the_keys_of_bert_as_first_published_are_translated() -> None:
    old = [
        "bert."
        + key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )
        for key in keys_of("bert")
    ]
    assert "bert.encoder.layer.0.attention.output.LayerNorm.gamma" in old
    assert [bert.published_name(key) for key in old] == keys_of("bert")
    assert [bert.published_name(key) for key in keys_of("bert")] == keys_of("bert")
    heads = ("cls.predictions.bias", "cls.seq_relationship.weight", "bert.embeddings.position_ids")
    assert [bert.published_name(key) for key in heads] == [None, None, None]


def test_the_keys_of_gpt2_as_first_published_are_translated() -> None:
    kept = [key for key in keys_of("gpt2") if key != "lm_head.weight"]
    old = [key.removeprefix("transformer.") for key in kept]
    assert "h.0.attn.c_attn.bias" in old
    assert [gpt2.published_name(key) for key in old] == kept
    assert [gpt2.published_name(key) for key in keys_of("gpt2")] == keys_of("gpt2")
    masks = ("h.3.attn.bias", "transformer.h.3.attn.masked_bias")
    assert [gpt2.published_name(key) for key in masks] == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_language_network_exports_to_onnx_with_a_dynamic_batch(name: str, tmp_path: Path) -> None:
    import onnxruntime

    module, path = shallow(name), tmp_path / "model.onnx"
    shapes = [{0: torch.export.Dim.DYNAMIC} for _ in built(name).inputs]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        example = built(name).make_inputs(2, seed=0)
        exported = torch.export.export(module, example, dynamic_shapes=tuple(shapes))
        program = torch.onnx.export(exported, verbose=False)
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 3):
        inputs = built(name).make_inputs(batch, seed=1)
        named = zip(session.get_inputs(), inputs, strict=True)
        found = session.run(None, {each.name: tensor.numpy() for each, tensor in named})
        with torch.inference_mode():
            expected = module(*inputs)
        for ours, theirs in zip(expected, found, strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_language_network_compiles_in_one_graph(name: str) -> None:
    module = shallow(name)
    inputs = built(name).make_inputs(3, seed=1)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        found = torch.compile(module, fullgraph=True, backend="aot_eager")(*inputs)
        for ours, theirs in zip(module(*inputs), found, strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
