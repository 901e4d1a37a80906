"""A row's answer is the same alone and beside longer ones, on every kind of model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from peftbench import methods
from peftbench.encoding.encode import Encoder
from peftbench.evaluation.predict import Predictor, _batches
from peftbench.models import resolve
from peftbench.models._padding import unharmed_length
from peftbench.spec import ModelChoice

SIZES: dict[str, Any] = {
    "vocab_size": 8000, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 512, "initializer_range": 0.3,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MAMBA = {
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}  # fmt: skip
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
#: Windows of 16 places, and states.
MODELS: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 16},
    "gemma2": {"sliding_window": 16},
    "gpt_oss": {"sliding_window": 16, **EXPERTS},
    "gpt_neo": {
        "num_layers": 2, "num_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "window_size": 16,
        "attention_types": [[["global", "local"], 1]],
    },
    "jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
        "expert_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2,
        "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False,
    },
    "granitemoehybrid": {
        **EXPERTS, **MAMBA, "shared_intermediate_size": 48,
        "layer_types": ["mamba", "attention"],
    },
    "recurrent_gemma": {
        "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16,
        "num_key_value_heads": 1, "head_dim": 8,
    },
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "bitfit": {},
    "prompt-tuning": {"num_virtual_tokens": 8},
    "prefix-tuning": {"num_virtual_tokens": 8, "projection_size": None},
}
#: What has no keys in some layers has no place for a prefix.
WITHOUT = {("jamba", "prefix-tuning"), ("granitemoehybrid", "prefix-tuning"),
           ("recurrent_gemma", "prefix-tuning")}  # fmt: skip
SHORT = [f"The cat {verb} on the mat and" for verb in ("sat", "slept", "stood", "ran")]
LONG = "Once upon a time there was a little dog in a big house near the river. " * 3


def model_of(model_type: str) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**SIZES, **MODELS[model_type]})
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = AutoTokenizer.from_pretrained(resolve(ModelChoice(name="tiny")).location)
    return Encoder(tokenizer, chat_template=False, stop_ids=(2,))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model_type", MODELS)
def test_neighbours_change_no_answer(model_type: str, name: str, encoder: Encoder) -> None:
    if (model_type, name) in WITHOUT:
        pytest.skip("needs keys in every layer")
    method = methods.get(name)(**METHODS[name])
    adapted = method.attach(model_of(model_type))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    predictor = Predictor.of(adapted.eval(), method, encoder, 400)
    alone = [predictor.generate([prompt], 6)[0] for prompt in SHORT]
    assert predictor.generate([*SHORT, LONG], 6)[:-1] == alone


def test_padding_that_does_no_harm_is_used() -> None:
    """With a window that all tokens fit in, rows of all lengths are decoded together."""
    lengths = [5, 9, 9, 7, 30, 30]
    assert list(_batches(lengths, 1000)) == [[4, 5, 1, 2, 3, 0]]
    assert list(_batches(lengths, 1000, 20)) == [[4, 5], [1, 2, 3, 0]]
    assert list(_batches(lengths, 1000, 0)) == [[4, 5], [1, 2], [3], [0]]
    assert list(_batches(lengths, 30, 20)) == [[4], [5], [1, 2, 3], [0]]


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [("mistral", 16), ("gemma2", 16), ("gpt_oss", 16), ("gpt_neo", 16), ("jamba", 0),
     ("granitemoehybrid", 0), ("recurrent_gemma", 0)],
)  # fmt: skip
def test_what_a_model_says_of_itself(model_type: str, expected: int) -> None:
    assert unharmed_length(model_of(model_type)) == expected


def test_a_window_that_no_layer_uses_is_none() -> None:
    from peftbench.testing import tiny_llama

    assert unharmed_length(tiny_llama()) is None
    adapted = methods.get("lora")().attach(tiny_llama())
    assert unharmed_length(adapted) is None, "also with an adapter on"
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen2", **SIZES, sliding_window=16, use_sliding_window=False
    )
    assert unharmed_length(AutoModelForCausalLM.from_config(config)) is None


def test_layers_of_an_unknown_kind_are_taken_to_be_harmed() -> None:
    model = model_of("mistral")
    model.config.layer_types = ["full_attention", "telepathy"]
    assert unharmed_length(model) == 0
