"""Gradient checkpointing changes memory and time, and no gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from peftbench.errors import InvalidSpec
from peftbench.methods import get
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping
from peftbench.testing import tiny_llama
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.seeds import seed_everything, trainable


@pytest.mark.parametrize("name", ["lora", "full", "prompt-tuning", "ia3"])
def test_gradients_are_the_same(name: str) -> None:
    inputs = torch.arange(24).reshape(2, 12)
    found = []
    for enabled in (False, True):
        model = tiny_llama()
        seed_everything(0)
        adapted = get(name)().attach(model)
        adapted.train()
        with gradient_checkpointing(adapted, enabled=enabled):
            adapted(input_ids=inputs, use_cache=False).logits.square().mean().backward()
        found.append({n: p.grad for n, p in trainable(adapted).items()})
        assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
    assert found[0].keys() == found[1].keys()
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, rtol=0, atol=0, msg=key)


def test_the_base_model_is_left_as_it_was() -> None:
    model = tiny_llama()
    before = {n: set(vars(part)) for n, part in model.named_modules()}
    method = get("lora")()
    adapted = method.attach(model)
    with gradient_checkpointing(adapted, enabled=True):
        adapted(input_ids=torch.arange(6)[None], use_cache=False)
    method.detach(adapted)
    assert {n: set(vars(part)) for n, part in model.named_modules()} == before


def test_a_method_that_cannot_is_refused_before_anything_is_loaded() -> None:
    spec: dict[str, Any] = {
        "name": "x",
        "models": ["tiny"],
        "methods": ["prefix-tuning"],
        "tasks": ["generated_sums"],
        "training": {"gradient_checkpointing": True},
    }
    with pytest.raises(InvalidSpec, match="does not go together with gradient check"):
        make_plan(from_mapping(spec))
    make_plan(from_mapping({**spec, "methods": ["lora"]}))
