"""The tiny model is the same every time and like a real one."""

from __future__ import annotations

import torch

from peftbench.testing import tiny_llama


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
