"""Blocks, attention and feed-forward networks are found on every architecture."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from peftbench import methods
from peftbench.errors import ModelError
from peftbench.methods._native.places import Block, Places
from peftbench.models import Shapes
from peftbench.testing import TINY_MODELS

LLAMA = Block(
    "model.layers.1",
    "model.layers.1.self_attn",
    "model.layers.1.self_attn.o_proj",
    "model.layers.1.mlp",
    "model.layers.1.mlp",
)
SECOND_BLOCK = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma"), LLAMA),
    "phi": Block(
        "model.layers.1",
        "model.layers.1.self_attn",
        "model.layers.1.self_attn.dense",
        "model.layers.1.mlp",
        "model.layers.1.mlp",
    ),
    "gpt2": Block(
        "transformer.h.1",
        "transformer.h.1.attn",
        "transformer.h.1.attn.c_proj",
        "transformer.h.1.mlp",
        "transformer.h.1.mlp",
    ),
    "gpt_neox": Block(
        "gpt_neox.layers.1",
        "gpt_neox.layers.1.attention",
        "gpt_neox.layers.1.attention.dense",
        "gpt_neox.layers.1.mlp",
        "gpt_neox.layers.1.mlp",
    ),
    "opt": Block(
        "model.decoder.layers.1",
        "model.decoder.layers.1.self_attn",
        "model.decoder.layers.1.self_attn.out_proj",
        "model.decoder.layers.1.fc1",
        "model.decoder.layers.1.fc2",
    ),
}
FINAL_NORM = {
    "gpt2": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "opt": "model.decoder.final_layer_norm",
    "phi": "model.final_layernorm",
}


def test_every_tiny_architecture_is_looked_at() -> None:
    assert set(SECOND_BLOCK) == set(TINY_MODELS)


@pytest.mark.parametrize("model_type", TINY_MODELS)
def test_places_are_where_they_are(model_type: str) -> None:
    model = TINY_MODELS[model_type]()
    places = Places.of(model)
    assert len(places.blocks) == 2
    assert places.blocks[1] == SECOND_BLOCK[model_type]
    assert places.final_norm == FINAL_NORM.get(model_type, "model.norm")
    assert places.modules[places.head] is model.get_output_embeddings()


@pytest.mark.parametrize("model_type", TINY_MODELS)
def test_linear_layers_are_those_of_the_shapes(model_type: str) -> None:
    model = TINY_MODELS[model_type]()
    found = Places.of(model).linears("all-linear")
    assert list(found) == [linear.name for linear in Shapes.of(model).linears]


@pytest.mark.parametrize("name", ["ssf", "sequential-bottleneck", "loreft", "lora"])
def test_places_are_the_same_with_an_adapter_on_the_model(name: str) -> None:
    model: Any = TINY_MODELS["llama"]()
    before = Places.of(model)
    methods.get(name)().attach(model)
    after = Places.of(model)
    assert after == before


def test_another_layout_is_explained() -> None:
    model: Any = TINY_MODELS["llama"]()
    model.model.layers[1].self_attn = nn.Identity()
    with pytest.raises(
        ModelError, match=r"model.layers.1 is not a block with one attention"
    ):
        Places.of(model)
    model.model.layers = nn.Sequential()
    with pytest.raises(ModelError, match="no list of 2 blocks"):
        Places.of(model)
