"""Every method keeps what a method must keep; a new file is tested the day it appears."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from peftbench import methods
from peftbench.testing import CHECKS, tiny_llama

THE_NINE = {
    "base",
    "full",
    "lora",
    "ia3",
    "ln-tuning",
    "bitfit",
    "prompt-tuning",
    "p-tuning",
    "prefix-tuning",
}

#: Settings that take another way through a method than its defaults.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    (
        "lora",
        {"rank": 3, "alpha": 5, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]},
    ),
    ("ia3", {"target_modules": ["q_proj"], "feedforward_modules": []}),
    ("bitfit", {"target_modules": ["q_proj", "v_proj"]}),
    ("p-tuning", {"encoder": "lstm", "num_virtual_tokens": 3, "encoder_hidden_size": 5}),
    ("prefix-tuning", {"projection_size": None, "num_virtual_tokens": 3}),
]


def test_the_catalogue_holds_the_nine_methods() -> None:
    assert set(methods.names()) >= THE_NINE


def test_there_are_checks() -> None:
    assert len(IN_FLOAT32) >= 10
    assert len(CHECKS) == len(IN_FLOAT32) + 2


#: The others take turns, see test_precision.py.
IN_FLOAT32 = [check for check in CHECKS if not check.startswith("works_in_")]


@pytest.mark.parametrize("check", IN_FLOAT32)
@pytest.mark.parametrize("name", methods.names())
def test_method_passes(name: str, check: str) -> None:
    CHECKS[check](methods.get(name)(), tiny_llama)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("name", "parameters"), VARIANTS)
def test_method_with_other_settings_passes(
    name: str, parameters: dict[str, Any], check: str
) -> None:
    CHECKS[check](methods.get(name)(**parameters), tiny_llama)


_SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # not hidden / heads
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _qwen2() -> Any:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**_SIZES))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # transformers starts them at zero
            torch.nn.init.normal_(parameter)
    return model.eval().requires_grad_(False)


def _qwen3() -> Any:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**_SIZES)).eval().requires_grad_(False)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["bitfit", "ia3"])
def test_method_passes_where_layers_have_biases(name: str, check: str) -> None:
    CHECKS[check](methods.get(name)(), _qwen2)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["ln-tuning", "prefix-tuning"])
def test_method_passes_where_queries_and_keys_are_normalised(name: str, check: str) -> None:
    CHECKS[check](methods.get(name)(), _qwen3)
