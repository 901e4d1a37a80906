"""On weights of 16 bits, what is trained is float32 and everything still works.

A commit tries each method on one architecture in one type: see `architecture_rotation`.
"""

from __future__ import annotations

import pytest
import torch

from architecture_rotation import Rotation
from peftbench import methods
from peftbench.encoding.rounding import NARROW
from peftbench.errors import InvalidSpec
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping
from peftbench.testing import TINY_MODELS, trial
from peftbench.testing.precisions import works_in

TOKENS = trial.tokens()
PLACES = [f"{model_type} in {dtype}" for model_type in TINY_MODELS for dtype in NARROW]
PAIRS = [
    (name, place)
    for name in methods.names()
    for place in Rotation.today().chosen(name, PLACES, at_once=1)
]


@pytest.mark.parametrize(("name", "place"), PAIRS)
def test_method_works_in_16_bits_or_is_declared_not_to(name: str, place: str) -> None:
    model_type, _, dtype = place.partition(" in ")
    method, factory = methods.get(name)(), TINY_MODELS[model_type]
    if model_type not in method.unsupported:
        trial.holds(method, dtype, lambda: works_in(method, factory, dtype))


def test_plan_refuses_a_precision_that_a_method_cannot_adapt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(methods.get("lora"), "unsupported", {"float16": "it overflows"})
    asked = {"name": "x", "methods": ["base", "lora"], "tasks": ["generated_sums"]}
    make_plan(from_mapping({**asked, "models": [{"name": "tiny", "dtype": "bfloat16"}]}))
    spec = from_mapping({**asked, "models": [{"name": "tiny", "dtype": "float16"}]})
    with pytest.raises(InvalidSpec, match="lora cannot adapt a float16 model"):
        make_plan(spec)


def test_layer_norm_models_keep_their_precision() -> None:
    """A LayerNorm kernel wants weights and activations of one precision."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    model = GPT2LMHeadModel(config).to(torch.bfloat16).eval().requires_grad_(False)
    base = model(TOKENS).logits
    method = methods.get("ln-tuning")()
    adapted = method.attach(model)
    start = adapted(input_ids=TOKENS).logits
    assert start.dtype == torch.bfloat16
    torch.testing.assert_close(start, base, atol=2e-2, rtol=2e-2)
    merged = method.merge(adapted)
    assert merged(TOKENS).logits.dtype == torch.bfloat16
