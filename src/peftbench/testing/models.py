"""Random models small enough for a test, with the parts that real ones have.

`TINY_MODELS` has one of every architecture that methods are tried on, by model type.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_VOCABULARY: dict[str, Any] = {
    "vocab_size": 96,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SIZES: dict[str, Any] = {
    **_VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,  # far from uniform, so that argmax has something to say
}
_GROUPED = {"num_key_value_heads": 2}  # keys are narrower than queries, as in most

#: What distinguishes the architectures: fused projections, biases, tied embeddings, heads
#: of another width than hidden / heads, normalised queries and keys, learned positions,
#: attention and MLP side by side, layers with transposed weights.
_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "llama": {**_SIZES, **_GROUPED, "tie_word_embeddings": True},
    "mistral": {**_SIZES, **_GROUPED, "head_dim": 16, "sliding_window": None},
    "qwen2": {**_SIZES, **_GROUPED, "tie_word_embeddings": True},
    "qwen3": {**_SIZES, **_GROUPED, "head_dim": 16},
    "gemma": {**_SIZES, "num_key_value_heads": 1, "head_dim": 16},
    "phi": {**_SIZES, "partial_rotary_factor": 0.5},
    "gpt_neox": {**_SIZES, "rotary_pct": 0.5},
    "gpt2": {
        **_VOCABULARY,
        "n_embd": 32,
        "n_inner": 48,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 256,
        "initializer_range": 0.3,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    },
    "opt": {
        **_VOCABULARY,
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "init_std": 0.3,
        "dropout": 0.0,
    },
}


def tiny(model_type: str, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A model of this type with random weights, the same for the same seed; frozen,
    float32, in evaluation mode.

    `overrides` are fields of the type's config. The state of torch's global generator is
    left as it was.
    """
    settings = tuple(sorted(overrides.items()))
    return copy.deepcopy(_built(model_type, seed, settings))


def tiny_llama(seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A Llama, see `tiny`; `overrides` are fields of `transformers.LlamaConfig`."""
    return tiny("llama", seed, **overrides)


#: A factory for each architecture: a fresh model with the same weights at every call.
TINY_MODELS: Mapping[str, Callable[..., PreTrainedModel]] = {
    model_type: partial(tiny, model_type) for model_type in _CONFIGS
}


@cache
def _built(
    model_type: str, seed: int, overrides: tuple[tuple[str, Any], ...]
) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {**_CONFIGS[model_type], **dict(overrides)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.for_model(model_type, **fields)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():  # gains of one and biases of zero would hide mistakes
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(0, 0.3)
                elif parameter.dim() == 1:
                    parameter.add_(torch.empty_like(parameter).uniform_(-0.5, 0.5))
            # Zeros have no direction: as the first token of a soft prompt they send
            # gradients through the norms of all blocks that 16 bits cannot hold.
            model.get_input_embeddings().weight[model.config.pad_token_id].normal_(0, 0.3)
    return cast("PreTrainedModel", model.eval().requires_grad_(False))
