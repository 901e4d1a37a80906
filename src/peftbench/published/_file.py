"""The file of a publication: its schema, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from peftbench.errors import UnknownName
from peftbench.spec import Protocol
from peftbench.spec.frozen import Frozen

_FOLDER = resources.files("peftbench") / "published"

#: What stands before a publication's name on the command line.
PREFIX = "published/"


class PublishedMethod(Frozen):
    """A method as a publication states it; None: not stated."""

    method: str
    parameters: Mapping[str, Any]
    trainable_parameters: int | None = None
    forward_tflops: float | None = None
    """Of one input of 512 tokens."""
    peak_memory_gb: float | None = None
    """Decimal."""
    mean_score: float | None = None
    """Points; what the published PSCP was computed from."""
    pscp: float | None = None


class PublishedTask(Frozen):
    """One row of the published table."""

    metric: str
    scores: tuple[float, ...]
    """Points, in the order of `Published.columns`."""


class Published(Frozen):
    """What one publication states."""

    schema_version: Literal[1]
    name: str
    title: str
    description: str
    source: str
    protocol: Protocol
    model: str
    base_forward_tflops: float
    methods: Mapping[str, PublishedMethod]
    columns: tuple[str, ...]
    tasks: Mapping[str, PublishedTask] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        if strangers := set(self.columns) - set(self.methods):
            raise ValueError(f"columns name no method: {', '.join(sorted(strangers))}")
        for name, task in self.tasks.items():
            if len(task.scores) != len(self.columns):
                raise ValueError(
                    f"{name} has {len(task.scores)} scores for {len(self.columns)} columns"
                )
        return self

    def score(self, method: str, task: str) -> float | None:
        """A published score in points; None where the table has no such column."""
        if method not in self.columns:
            return None
        return self.tasks[task].scores[self.columns.index(method)]


def names() -> tuple[str, ...]:
    """The publications that ship with the package."""
    files = (Path(entry.name) for entry in _FOLDER.iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".yaml"))


def read(name: str) -> Published:
    """A publication by name, with or without `published/`; raises `UnknownName`."""
    bare = name.removeprefix(PREFIX)
    if bare not in names():
        raise UnknownName("publication", bare, names())
    raw = yaml.safe_load((_FOLDER / f"{bare}.yaml").read_text("utf-8"))
    return Published.model_validate(raw)
