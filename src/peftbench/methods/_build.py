"""From a spec's choice to a method, from a method to its part of a cell, and back.

A choice names a method of the catalogue, or gives a file in its place: a config of `peft`'s
is a method of its own, and a finished adapter is one that trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peftbench import methods
from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.methods._finished import FinishedAdapter
from peftbench.methods._from_config import FromConfig
from peftbench.methods._method import Method
from peftbench.spec import CellMethod, MethodChoice
from peftbench.spec.facts import MethodFacts

# With an underscore: no name of the catalogue has one.
_FROM_CONFIG, _FINISHED = "peft_config", "finished_adapter"


def build(choice: MethodChoice) -> Method:
    """The method of a spec, its settings checked; raises `InvalidSpec`."""
    if choice.peft_config is not None:
        return FromConfig.read(choice.peft_config, choice.parameters)
    if choice.adapter is not None:
        return FinishedAdapter.find(choice.adapter)
    kind = methods.get(choice.name)
    known = kind.__dataclass_fields__
    for name in choice.parameters:
        if name not in known:
            raise InvalidSpec(
                f"methods: {choice.label}: {choice.name} has no setting {name!r}; it has "
                f"{', '.join(known) or 'none'}."
            )
    try:
        return kind(**choice.parameters)
    except TypeError as error:
        raise InvalidSpec(f"methods: {choice.label}: {error}") from error


def cell_method(choice: MethodChoice, method: Method) -> CellMethod:
    """A method of a spec as it stands in cells and costs."""
    if isinstance(method, FromConfig):
        return CellMethod(name=_FROM_CONFIG, parameters=method.parameters())
    if isinstance(method, FinishedAdapter):
        return CellMethod(
            name=_FINISHED, parameters=method.parameters(), location=method.location
        )
    return CellMethod(
        name=methods.CATALOGUE.canonical(choice.name),
        parameters=_plain(method),
        source=methods.CATALOGUE.source(choice.name),
        location=method.location,
    )


def rebuild(method: CellMethod) -> Method:
    """The method of a cell."""
    if method.name == _FROM_CONFIG:
        return FromConfig(**method.parameters)
    if method.name == _FINISHED:
        return FinishedAdapter.rebuilt(method.parameters, method.location)
    return methods.get(method.name).rebuilt(method.parameters, method.location)


def about(method: CellMethod) -> MethodFacts:
    """What a record tells of a method; blank for one that is not installed here."""
    if method.name == _FROM_CONFIG:
        return MethodFacts(family=f"peft's {method.parameters['peft_type']}")
    if method.name == _FINISHED:
        return MethodFacts(family="trained before")
    try:
        found = methods.get(method.name)
    except PeftbenchError:
        return MethodFacts()
    return MethodFacts(family=str(found.family), paper=found.paper)


def _plain(method: Method) -> Mapping[str, Any]:
    """Settings as JSON knows them: the same before and after the store."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in method.parameters().items()
    }
