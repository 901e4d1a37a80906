"""Parameters on Meta-Llama-3-8B: hidden 4096, 32 blocks, keys and values of 1024, MLP 14336.

Each number is worked out by hand from the method's formula.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from peftbench import methods
from peftbench.models import Shapes

LLAMA_3_8B: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}

GOLDEN: list[tuple[str, dict[str, Any], int]] = [
    ("sequential-bottleneck", {}, 32 * (2 * 4096 * 64 + 64 + 4096)),
    ("double-bottleneck", {}, 64 * (2 * 4096 * 64 + 64 + 4096)),
    ("parallel-adapter", {}, 16_910_336),
    ("adaptformer", {}, 16_910_336),
    ("scaled-parallel-adapter", {}, 134_365_184),
    ("compacter", {}, 64 * 3 * (4096 + 64) + 4**3),
    ("ssf", {}, 2 * 43_008 * 32),
    ("hadamard", {}, 262_144),
    ("adapterbias", {}, 262_176),
    ("loreft", {}, 2_097_408),
    ("linear-probe", {}, 525_336_576),
    ("last-layers", {"layers": 2}, 2 * 218_112_000),
    ("svft", {}, 720_896),
    ("svft", {"diagonals": 3}, 5 * 720_896 - 6 * 7 * 32),
    ("fact", {}, 16 * (18_432 + 19_456) + 256 * 224),
    ("hydra", {}, 42_991_616),
    ("dylora", {}, 20_971_520),
    ("fish-mask", {}, 6_979_321_856 * 5 // 1000),
    ("lst", {}, 10_494_112),
    ("mam", {}, 2 * 30 * 1024 * 32 + 134_365_184),
    (
        "unipelt",
        {},
        32 * (2 * 10 * 1024 + 2 * 4096 * 48 + 48 + 4096 + 2 * 4097)
        + 32 * (8 * (8192 + 5120) + 2 * 4097),
    ),
    ("ts-lora", {}, 20_971_520 + 224),
    ("ts-bottleneck", {}, 16_910_336 + 32),
]
#: Those that make large tensors on the way are counted on small models alone.
SMALL = [case for case in GOLDEN if case[2] < 50_000_000]


@cache
def meta_model() -> LlamaForCausalLM:
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B))


@pytest.mark.parametrize(("name", "parameters", "expected"), GOLDEN)
def test_closed_form_knows_llama_3_8b(
    name: str, parameters: dict[str, Any], expected: int
) -> None:
    shapes = Shapes.from_config(LLAMA_3_8B)
    assert methods.get(name)(**parameters).trainable_parameters(shapes) == expected


@pytest.mark.parametrize(("name", "parameters", "expected"), SMALL)
def test_attached_without_weights_as_many_are_trained(
    name: str, parameters: dict[str, Any], expected: int
) -> None:
    method = methods.get(name)(**parameters)
    adapted = method.attach(meta_model())
    counted = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    on_meta = {p.device.type for p in adapted.parameters()}
    method.detach(adapted)
    assert counted == expected
    assert on_meta == {"meta"}
