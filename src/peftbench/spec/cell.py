"""A cell: one run, as a value. Equal cells have equal ids, and are run once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from peftbench.spec.benchmark import BudgetUnit, Limits, Protocol, Sampling, Training
from peftbench.spec.frozen import Frozen, digest


class CellModel(Frozen):
    """The base model, down to the bytes of its weights."""

    name: str
    identity: str  # "sha256:<digest of its files>" or "<hub id>@<commit>"
    dtype: str
    chat_template: bool | None


class CellMethod(Frozen):
    """The method with all its settings, defaults included."""

    name: str
    parameters: Mapping[str, Any]
    source: str | None = None  # of a plug-in, see `Catalogue.source`; None: ours
    location: str | None = Field(None, exclude=True)
    """Where adapters lie that it is made of. No part of its identity, and not stored."""


class CellTask(Frozen):
    """The task, the version of its prompt and scoring, and the rows it stands for."""

    name: str
    version: int
    data: str  # "sha256:<digest of its files>", "<hub id>@<commit>", "generated v1"
    source: str | None = None  # as in `CellMethod`


class SettledBudget(Frozen):
    """What a budget came to on one model. No part of a cell: a rank that was asked for by
    its size is the same rank."""

    knob: str  # the setting that was turned
    value: int
    unit: BudgetUnit
    requested: float
    achieved: float


class Trial(Frozen):
    """Marks a run that tries settings: it is scored on the validation part alone."""

    stop_below: tuple[float | None, ...] = ()
    """For each look at the validation part, the score at which it is not worth going on."""


#: Fields of a cell that came later, and that most cells do not have.
_OPTIONAL = ("sampling", "trial", "tuned", "origin")


class Cell(Frozen):
    """One fine-tuning run and its evaluation.

    A method that trains nothing has neither `seed` nor `training`: its one run stands
    for every seed. A cell with an `origin` was run by somebody else; what they do not tell
    is absent: None, "" or 0.
    """

    model: CellModel
    method: CellMethod
    task: CellTask
    seed: int | None
    training: Training | None
    max_length: int
    limits: Limits
    sampling: Sampling | None = None  # None: no metric of the task takes samples
    protocol: Protocol
    trial: Trial | None = None
    tuned: str | None = None  # digest of the search that chose the settings
    origin: str | None = None  # "<tool> sha256:<digest of its files>"; None: our own run

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal. What may be absent, and is, is left
        out: a field that comes with a new version changes no id of old."""
        asked = self.model_dump(mode="json")
        absent = [name for name in _OPTIONAL if asked[name] is None]
        return digest({name: asked[name] for name in asked if name not in absent})

    @property
    def short_id(self) -> str:
        """The first twelve digits of `id`: enough to name the cell on a screen."""
        return self.id[:12]
