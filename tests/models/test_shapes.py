"""Shapes computed from a config.json are those of the model that it describes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from peftbench.errors import ModelError
from peftbench.models import Linear, Shapes

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

CONFIGS: list[dict[str, Any]] = [
    {"model_type": "llama"},
    {"model_type": "llama", "tie_word_embeddings": True, "attention_bias": True},
    {"model_type": "llama", "mlp_bias": True, "head_dim": 16},
    {"model_type": "llama", "num_key_value_heads": None},
    {"model_type": "mistral"},
    {"model_type": "mistral", "head_dim": 16},
    {"model_type": "qwen2"},
    {"model_type": "qwen2", "tie_word_embeddings": True},
    {"model_type": "qwen3", "head_dim": 16},
    {"model_type": "qwen3", "attention_bias": True},
    {"model_type": "smollm3"},
    {"model_type": "smollm3", "tie_word_embeddings": False},
    {"model_type": "gemma", "head_dim": 16},
    {"model_type": "gemma2", "head_dim": 16},
    {"model_type": "gemma2", "head_dim": 16, "attention_bias": True},
    {"model_type": "gemma3_text", "head_dim": 16},
    {"model_type": "phi3"},
    {"model_type": "phi3", "tie_word_embeddings": True, "num_key_value_heads": 4},
    {"model_type": "olmo2"},
    {"model_type": "olmo2", "attention_bias": True},
    {"model_type": "gpt_neox"},
    {"model_type": "gpt_neox", "attention_bias": False, "tie_word_embeddings": True},
    {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 48},
]


def meta_model(config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


@pytest.mark.parametrize("difference", CONFIGS)
def test_from_config_equals_of(difference: dict[str, Any], tmp_path: Path) -> None:
    config = SIZES | difference
    if difference["model_type"].startswith("gpt"):  # as many as of queries, always
        del config["num_key_value_heads"]
    model = meta_model(config)
    expected = Shapes.of(model)
    assert Shapes.from_config(config) == expected
    model.config.save_pretrained(tmp_path)  # as it stands in a folder or on the hub
    assert (
        Shapes.from_config(json.loads((tmp_path / "config.json").read_text())) == expected
    )


@pytest.mark.parametrize(
    "model_type",
    ["llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "gemma3_text",
     "phi3", "olmo2"],
)  # fmt: skip
def test_what_a_config_leaves_out_means_what_transformers_takes_it_to_mean(
    model_type: str,
) -> None:
    config = {k: v for k, v in SIZES.items() if k != "num_key_value_heads"}
    config |= {"model_type": model_type, "hidden_size": 256, "num_attention_heads": 32}
    assert Shapes.from_config(config) == Shapes.of(meta_model(config))


def test_parameters_of_llama_3_8b() -> None:
    config = {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
    shapes = Shapes.from_config(config)
    assert shapes.parameters == 8_030_261_248
    assert shapes.kv_dim == 1024
    assert len(shapes.linears) == 7 * 32
    assert len(shapes.norms) == 65


def test_linear_knows_its_leaf_and_its_size() -> None:
    linear = Linear("model.layers.0.self_attn.q_proj", 4, 6, has_bias=True)
    assert linear.leaf == "q_proj"
    assert linear.parameters == 4 * 6 + 6


def test_other_model_types_are_explained_and_can_be_measured() -> None:
    config = {
        "model_type": "bloom",
        "vocab_size": 96,
        "hidden_size": 32,
        "n_layer": 2,
        "n_head": 4,
    }
    with pytest.raises(ModelError, match="from_meta_model"):
        Shapes.from_config(config)
    shapes = Shapes.from_meta_model(config)
    assert shapes.norms == (64,) * 6
    assert shapes.parameters == sum(p.numel() for p in meta_model(config).parameters())


def test_unknown_model_type_is_explained() -> None:
    with pytest.raises(ModelError, match="no causal language model of type 'nonesuch'"):
        Shapes.from_meta_model({"model_type": "nonesuch"})


def test_incomplete_config_is_explained() -> None:
    with pytest.raises(ModelError, match="has no intermediate_size"):
        Shapes.from_config(
            {k: v for k, v in SIZES.items() if k != "intermediate_size"}
            | {"model_type": "llama"}
        )


def test_from_config_imports_no_torch() -> None:
    program = (
        "import sys; from peftbench.models import Shapes;"
        f"Shapes.from_config({SIZES | {'model_type': 'llama'}!r});"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
