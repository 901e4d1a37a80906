"""The tiny model is the same every time and like a real one."""

from __future__ import annotations

import pytest
import torch

from peftbench.models import Shapes
from peftbench.testing import TINY_MODELS, tiny_llama


def test_same_seed_same_weights() -> None:
    first, second, other = tiny_llama(), tiny_llama(), tiny_llama(seed=1)
    weights = second.state_dict()
    assert all(torch.equal(tensor, weights[n]) for n, tensor in first.state_dict().items())
    weight = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(first.state_dict()[weight], other.state_dict()[weight])


def test_building_one_leaves_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    tiny_llama()
    assert torch.equal(torch.rand(1), expected)


def test_it_has_fewer_key_heads_than_query_heads_and_is_frozen() -> None:
    model = tiny_llama()
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


def test_overrides_reach_the_config() -> None:
    assert tiny_llama(num_hidden_layers=3).config.num_hidden_layers == 3


@pytest.mark.parametrize("model_type", TINY_MODELS)
def test_every_architecture_has_what_could_be_got_wrong(model_type: str) -> None:
    model = TINY_MODELS[model_type]()
    assert model.config.model_type == model_type
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert parameter.std() > 0.1, f"{name} is constant"
        assert not parameter.requires_grad
    assert not model.training
    if model_type not in ("phi", "gpt_neox", "gpt2", "opt"):
        assert model.config.num_key_value_heads < model.config.num_attention_heads


def test_a_model_that_was_changed_does_not_come_again() -> None:
    with torch.no_grad():
        TINY_MODELS["opt"]().get_input_embeddings().weight.zero_()
    assert TINY_MODELS["opt"]().get_input_embeddings().weight.abs().sum() > 0


def test_transposed_layers_of_gpt2_have_their_sizes_the_right_way_round() -> None:
    model = TINY_MODELS["gpt2"]()
    [inner, *_] = Shapes.of(model).called("c_fc")
    assert (inner.d_in, inner.d_out) == (32, 48)
    assert inner.is_transposed
    weight = model.get_parameter(f"{inner.name}.weight")
    assert tuple(weight.shape) == (inner.d_in, inner.d_out)
