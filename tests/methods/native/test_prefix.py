"""The prefix inside attention: masks, caches and gates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.errors import ModelError
from peftbench.testing import TINY_MODELS, tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])


def moved(adapted: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return adapted.eval()


@pytest.mark.parametrize("name", ["mam", "unipelt"])
@pytest.mark.parametrize("model_type", TINY_MODELS)
def test_eager_attention_computes_the_same(name: str, model_type: str) -> None:
    """It takes masks that are added, where the usual one takes boolean ones."""
    found = []
    for implementation in ("sdpa", "eager"):
        model = TINY_MODELS[model_type]()
        model.set_attn_implementation(implementation)
        torch.manual_seed(4)
        adapted = moved(methods.get(name)().attach(model))
        mask = torch.ones_like(TOKENS)
        mask[1, :3] = 0
        with torch.no_grad():
            logits = adapted(input_ids=TOKENS, attention_mask=mask).logits
        found.append(torch.cat([logits[0], logits[1, 3:]]))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_a_closed_gate_shuts_the_prefix_out() -> None:
    adapted = methods.get("unipelt")().attach(tiny_llama())
    tokens = {"input_ids": TOKENS}
    with torch.no_grad():
        assert not torch.allclose(adapted(**tokens).logits, tiny_llama()(**tokens).logits)
        for name, parameter in adapted.named_parameters():
            if "self_attn.native_parts.default.gate" in name:
                parameter.fill_(-1e4 if name.endswith("bias") else 0.0)
        closed = adapted(**tokens).logits
    torch.testing.assert_close(closed, tiny_llama()(**tokens).logits)


def test_other_kinds_of_attention_are_refused_before_anything_is_attached() -> None:
    model: Any = tiny_llama()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(ModelError, match="flex_attention does not take"):
        methods.get("mam")().attach(model)
