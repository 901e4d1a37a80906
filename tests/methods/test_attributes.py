"""What every method's file states of itself, by which tables, budgets and plans go."""

from __future__ import annotations

import re

import pytest

from peftbench import methods
from peftbench.models import Shapes
from peftbench.testing import states_what_it_is

LLAMA_3_8B = Shapes.from_config(
    {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
)


@pytest.mark.parametrize("name", methods.names())
def test_facts_are_stated_and_the_knob_turns(name: str) -> None:
    assert states_what_it_is(methods.get(name)(), LLAMA_3_8B)


@pytest.mark.parametrize("name", methods.names())
def test_docstring_opens_with_its_paper(name: str) -> None:
    text = methods.get(name).__doc__ or ""
    assert re.search(r"\(.*\d{4}.*\)", text.partition("\n\n")[0], re.DOTALL)


@pytest.mark.parametrize("name", methods.names())
def test_a_method_that_trains_says_its_learning_rate(name: str) -> None:
    method = methods.get(name)
    assert bool(method.training) == method.trains


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("family", "exotic", "family is 'exotic'"),
        ("placement", "", "placement is ''"),
        ("placement", "Everywhere.", "not a sentence"),
        ("mergeable", "yes", "mergeable is not True or False"),
        ("budget_knob", "depth", "'depth' is no setting"),
        ("budget_knob", "target_modules", "not a whole number"),
        ("budget_knob", "alpha", "alpha does not change the count"),
        ("unsupported", {"gpt2": "no"}, "is no reason"),
        ("__doc__", "LoRA.", "gives no formula"),
    ],
)
def test_what_is_missing_or_nonsense_is_found(
    attribute: str, value: object, message: str
) -> None:
    lora = methods.get("lora")
    broken = type("Broken", (lora,), {attribute: value, "__module__": __name__})
    if attribute != "__doc__":
        broken.__doc__ = lora.__doc__
    with pytest.raises(AssertionError, match=message):
        states_what_it_is(broken(), LLAMA_3_8B)
