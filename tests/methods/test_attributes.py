"""What every method's file states of itself, by which tables, budgets and plans go."""

from __future__ import annotations

import re
import typing
from dataclasses import replace

import pytest

from peftbench import methods
from peftbench.methods import Family
from peftbench.models import Shapes

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
def test_facts_are_stated(name: str) -> None:
    method = methods.get(name)
    assert method.family in typing.get_args(Family)
    for text in (method.placement, method.paper, method.defaults_from):
        assert text == text.strip() != ""
    assert not method.placement.endswith(".")
    assert len(method.placement) <= 60, "it is one column of a table"
    for flag in ("identity_at_start", "mergeable", "needs_backward_through_base", "trains"):
        assert isinstance(getattr(method, flag), bool), flag
    assert method.needs_backward_through_base <= method.trains
    for model_type, reason in method.unsupported.items():
        assert re.fullmatch(r"[a-z0-9_-]+", model_type)
        assert len(reason) > 10, "a reason is more than a word"


@pytest.mark.parametrize("name", methods.names())
def test_docstring_has_the_formula_and_its_source(name: str) -> None:
    text = methods.get(name).__doc__ or ""
    assert not text.startswith(f"{methods.get(name).__name__}("), "made by dataclass"
    assert re.search(r"\(.*\d{4}.*\)", text.partition("\n\n")[0], re.DOTALL), "its paper"
    assert len(text) > 100


@pytest.mark.parametrize("name", methods.names())
def test_a_method_that_trains_says_its_learning_rate(name: str) -> None:
    method = methods.get(name)
    assert bool(method.training) == method.trains


@pytest.mark.parametrize("name", methods.names())
def test_knob_is_a_whole_number_that_changes_the_count(name: str) -> None:
    method = methods.get(name)()
    if method.budget_knob is None:
        return
    value = getattr(method, method.budget_knob)
    assert isinstance(value, int)
    count = method.trainable_parameters(LLAMA_3_8B)
    double = replace(method, **{method.budget_knob: 2 * value})
    assert double.trainable_parameters(LLAMA_3_8B) != count > 0
