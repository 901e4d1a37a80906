"""Everything that can be checked of one method, in the order that a reviewer reads it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peftbench import methods
from peftbench.catalogue import explained
from peftbench.models import Shapes
from peftbench.testing.architectures import works_on
from peftbench.testing.conformance import CHECKS, Check
from peftbench.testing.facts import states_what_it_is
from peftbench.testing.models import TINY_MODELS, tiny_llama
from peftbench.testing.trial import ModelFactory, holds


@dataclass(frozen=True)
class Examined:
    """One check: what it is about, how it ended, and what was seen."""

    part: str
    check: str
    about: str
    passed: bool
    detail: str


def examine(name: str, model_factory: ModelFactory | None = None) -> Iterator[Examined]:
    """Check the method called `name`, with its defaults, one finding after the other.

    With a `model_factory` every check runs on that model. Without, on a random Llama, and a
    shorter pass runs on each other architecture that the method does not exclude.
    """
    kind = methods.get(name)
    method = kind()
    module = methods.CATALOGUE.module(name)
    file = Path(module.__file__) if module.__file__ else None
    factory = model_factory or tiny_llama

    def look(part: str, title: str, about: str, check: Callable[[], str]) -> Examined:
        try:
            return Examined(part, title, about, True, check())
        except AssertionError as error:
            return Examined(part, title, about, False, str(error) or "not so")
        except Exception as error:
            return Examined(part, title, about, False, explained(error, file))

    shapes = Shapes.of(factory())
    yield look(
        "facts",
        "states_what_it_is",
        "Every attribute is there and plausible; the knob turns the size.",
        lambda: states_what_it_is(method, shapes),
    )
    where = "the model" if model_factory else "a random Llama"
    for title, check in CHECKS.items():
        yield look(where, title, _first_line(check), lambda c=check: c(method, factory))  # type: ignore[misc]
    if model_factory:
        return
    for model_type, other in TINY_MODELS.items():
        if model_type == "llama":
            continue
        about = "Attach, count, train, generate, save, load, merge."
        yield look(
            "other architectures",
            model_type,
            about,
            lambda t=model_type, f=other: holds(method, t, lambda: works_on(method, f)),  # type: ignore[misc]
        )


def _first_line(check: Check) -> str:
    return inspect.cleandoc(check.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
