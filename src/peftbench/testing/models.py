"""Random models small enough for a test, with the parts that real ones have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TINY: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,  # grouped-query attention: keys are narrower than queries
    "max_position_embeddings": 256,
    "initializer_range": 0.3,  # far from uniform, so that argmax has something to say
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_llama(seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A Llama with random weights, the same for the same seed; frozen, float32.

    `overrides` are fields of `transformers.LlamaConfig`. The state of torch's global
    generator is left as it was.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**_TINY | overrides))
        with torch.no_grad():  # norms that are all ones would hide mistakes
            for name, parameter in model.named_parameters():
                if name.endswith("norm.weight"):
                    parameter.uniform_(0.5, 1.5)
    return cast("PreTrainedModel", model.eval().requires_grad_(False))
