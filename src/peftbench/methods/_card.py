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
from peftbench.models import Shapes, shipped
from peftbench.spec import Training

#: Models on which sizes are told, and their ids on the hub; their configs ship with us.
REFERENCES: Mapping[str, str] = {
    "Llama-3-8B": "meta-llama/Meta-Llama-3-8B",
    "Llama-3.2-1B": "meta-llama/Llama-3.2-1B",
    "Qwen2.5-7B": "Qwen/Qwen2.5-7B",
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
    return Shapes.from_config(shipped()[REFERENCES[model]].config)


def _count(method: Method, on: Shapes) -> int | None:
    try:
        return method.trainable_parameters(on)
    except PeftbenchError:
        return None
