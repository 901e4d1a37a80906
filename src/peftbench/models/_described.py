"""A model's config without its weights: all that predicting a cost needs.

Configs of the models that people benchmark ship with the package as facts, in
`configs/*.json`: the fields that define shapes, where they were published, and how many
parameters follow from them. They need no hub and no accepted terms. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from peftbench.errors import ModelError
from peftbench.models._source import resolve_config
from peftbench.spec.benchmark import ModelChoice
from peftbench.spec.frozen import digest

_CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class ModelFacts:
    """What ships of one architecture and size."""

    names: tuple[str, ...]  # hub ids that have these shapes
    source: str  # where the config was published
    parameters: int  # distinct scalars, tied weights once
    parameters_source: str  # who says so
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Described:
    """A model as far as its config tells."""

    name: str
    written_name: str  # what its adapters would write down as their base
    identity: str  # of the weights where they are at hand, else of the config
    config: Mapping[str, Any]


@cache
def shipped() -> Mapping[str, ModelFacts]:
    """All shipped facts, by hub id."""
    found: dict[str, ModelFacts] = {}
    for path in sorted(_CONFIGS.glob("*.json")):
        raw = json.loads(path.read_text("utf-8"))
        facts = ModelFacts(**{**raw, "names": tuple(raw["names"])})
        found |= dict.fromkeys(facts.names, facts)
    return found


def describe(choice: ModelChoice) -> Described:
    """The config of a model: an embedded one, a folder with a config.json, one that is
    shipped, else the hub's. Raises `ModelError` where there is none."""
    facts = shipped().get(choice.name)
    if facts is None or Path(choice.name).is_dir():
        source = resolve_config(choice)
        return Described(choice.name, source.written_name, source.identity, source.config)
    if choice.revision is not None:
        raise ModelError(
            f"The config of {choice.name} ships with peftbench, without revisions; leave out "
            f"the revision {choice.revision!r}."
        )
    identity = f"config:{digest(dict(facts.config))}"
    return Described(choice.name, choice.name, identity, facts.config)
