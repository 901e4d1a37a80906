"""Ladder side tuning: no gradient passes the base, and the memory shows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.cost.count import Inputs, count
from peftbench.methods._native.places import Places
from peftbench.testing import TINY_MODELS, tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])


@pytest.mark.parametrize("model_type", TINY_MODELS)
def test_no_module_of_the_base_is_in_the_graph(model_type: str) -> None:
    """Below the final normalisation, whose output the side network joins."""
    model = TINY_MODELS[model_type]()
    places = Places.of(model)
    blocks = tuple(block.name for block in places.blocks)
    seen = []

    def note(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            seen.append((name, first.requires_grad))

        return hook

    for name, module in places.modules.items():
        if name.startswith(blocks) and name not in blocks:
            module.register_forward_hook(note(name))
    adapted = methods.get("lst")().attach(model).train()
    loss = adapted(input_ids=TOKENS, use_cache=False).logits.logsumexp(-1).mean()
    loss.backward()
    assert len(seen) > 10
    assert not any(requires_grad for _, requires_grad in seen)


def test_activations_take_less_memory_than_with_lora() -> None:
    """By the meter, on a model deep enough for its activations to matter."""
    model = tiny_llama(num_hidden_layers=8, hidden_size=64, intermediate_size=256)
    inputs = Inputs(inference=(1, 32), training=(4, 64))
    settings: dict[str, dict[str, Any]] = {"lora": {}, "lst": {"side_width": 8}}
    seen = {
        name: count(methods.get(name)(**parameters), model, 96, inputs).memory.activations
        for name, parameters in settings.items()
    }
    assert seen["lst"] < 0.5 * seen["lora"], seen


def test_a_wider_side_network_has_more_heads_only_where_they_divide_it() -> None:
    from peftbench.methods._native.ladder import SideBlock

    assert [SideBlock(width).heads for width in (3, 6, 8, 64)] == [1, 2, 4, 4]


def test_beams_are_reordered_in_the_side_network_too() -> None:
    """Its keys and values are in the model's own cache, which beam search reorders."""
    adapted = methods.get("lst")(side_width=8).attach(tiny_llama())
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    adapted.eval()
    asked: dict[str, Any] = {
        "input_ids": TOKENS[:1, :4],
        "attention_mask": torch.ones(1, 4, dtype=torch.long),
        "max_new_tokens": 6,
        "num_beams": 3,
        "do_sample": False,
        "pad_token_id": 0,
        "eos_token_id": None,
    }
    cached = adapted.generate(**asked, use_cache=True)
    recomputed = adapted.generate(**asked, use_cache=False)
    assert cached.tolist() == recomputed.tolist()
