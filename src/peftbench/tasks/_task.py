"""What a task is: rows to prompts and targets, and how an answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

#: One row of a dataset, with the hub's own field names.
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row, as the model meets it.

    The model reads `prompt`, a blank (or the chat template's turn), and must write
    `completion` followed by the end token. `target` is what a parsed answer is
    compared with. Rows of one `group` never stand in different splits.
    `references` are all right answers where there are several; `target` is one of them.
    `extra` is what a metric needs beyond that, such as a program's tests, as JSON values.
    """

    prompt: str
    completion: str
    target: str
    group: str | None = None
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A dataset as a task. One file in `tasks/` ends with `TASK = Task(...)`.

    `splits` maps our three splits to expressions over the hub's splits, as in
    `datasets`: `{"train": "train[:-512]", "validation": "train[-512:]", "test": "test"}`.
    A validation split that is cut from training rows is cut by `Example.group`.
    `version` rises whenever a prompt, a target or the scoring changes.
    """

    description: str
    hub_id: str | None  # None: rows come from `generate`
    subset: str | None = None
    revision: str | None = None
    splits: Mapping[Split, str]
    license: str
    fields: tuple[str, ...]  # that every row must have
    to_example: Callable[[Row], Example]
    read_answer: Callable[[str], str | None]  # raw output to answer; None: unreadable
    metrics: tuple[str, ...]  # the first is the headline
    labels: tuple[str, ...] = ()  # the closed set of answers; () where answers are free
    max_new_tokens: int = 16  # bound on a free answer's length
    version: int = 1
    example_row: Row = field(default_factory=dict)  # hand-written, for docs and tests
    generate: Callable[[Split], Sequence[Row]] | None = None

    @property
    def headline(self) -> str:
        """The metric that tables show."""
        return self.metrics[0]

    @property
    def is_generated(self) -> bool:
        """True if the rows are made by a program, not collected from the world."""
        return self.generate is not None
