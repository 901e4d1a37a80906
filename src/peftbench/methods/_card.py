"""What a method's file says of itself, as a value: for lists, cards and the page of all."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from peftbench import methods
from peftbench.catalogue import explained
from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.methods._method import Method
from peftbench.models import Shapes
from peftbench.spec import Training

_LLAMA: Mapping[str, Any] = {"model_type": "llama", "vocab_size": 128256}

#: Models on which sizes are told, by name; their shapes as published with the weights.
REFERENCES: Mapping[str, Mapping[str, Any]] = {
    "Llama-3-8B": {
        **_LLAMA,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "Llama-3.2-1B": {
        **_LLAMA,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
    "Qwen2.5-7B": {
        "model_type": "qwen2",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}


@dataclass(frozen=True)
class Card:
    """All that can be said of a method without a model."""

    name: str
    about: str  # the docstring of its class: formula, shapes, count
    family: str
    placement: str
    paper: str
    settings: Mapping[str, Any]  # with their defaults
    defaults_from: str
    training: Mapping[str, Any]  # what its runs do otherwise, learning rate included
    identity_at_start: bool
    mergeable: bool
    needs_backward_through_base: bool
    budget_knob: str | None
    unsupported: Mapping[str, str]
    trainable: Mapping[str, int | None]  # by model of `REFERENCES`; None: it does not fit

    @property
    def learning_rate(self) -> float | None:
        """The peak learning rate where a spec says nothing; None: it trains nothing."""
        value = self.training.get("learning_rate")
        return None if value is None else float(value)


def card(name: str) -> Card:
    """The card of a method; raises `PeftbenchError` where its file is wrong."""
    try:
        return _card(name)
    except (AttributeError, TypeError, ValueError) as error:
        module = methods.CATALOGUE.module(name)
        file = Path(str(module.__file__)) if module.__file__ else None
        raise InvalidSpec(
            f"The method {name!r}{f' in {file}' if file else ''} is not as a method must be: "
            f"{explained(error, file)}. See CONTRIBUTING, or `peftbench check-method {name}`."
        ) from error


def _card(name: str) -> Card:
    kind = methods.get(name)
    if not isinstance(kind, type) or not issubclass(kind, Method):
        raise TypeError("METHOD must be a class derived from peftbench.methods.Method")
    method = kind()
    training = {"learning_rate": Training().learning_rate} if kind.trains else {}
    return Card(
        name=methods.CATALOGUE.canonical(name),
        about=inspect.cleandoc(kind.__doc__ or ""),
        family=kind.family,
        placement=kind.placement,
        paper=kind.paper,
        settings={
            key: list(value) if isinstance(value, tuple) else value
            for key, value in method.parameters().items()
        },
        defaults_from=kind.defaults_from,
        training={**training, **kind.training},
        identity_at_start=kind.identity_at_start,
        mergeable=kind.mergeable,
        needs_backward_through_base=kind.needs_backward_through_base,
        budget_knob=kind.budget_knob,
        unsupported=kind.unsupported,
        trainable={model: _count(method, shapes(model)) for model in REFERENCES},
    )


@cache
def shapes(model: str) -> Shapes:
    """The shapes of a model of `REFERENCES`."""
    return Shapes.from_config(REFERENCES[model])


def _count(method: Method, on: Shapes) -> int | None:
    try:
        return method.trainable_parameters(on)
    except PeftbenchError:
        return None
