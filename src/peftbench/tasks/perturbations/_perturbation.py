"""What a perturbed test set is: rows that ask a task's own question in a harder way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from peftbench.tasks._task import Row


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the rows of a set are asked as rows of one task.

    `to_row` turns a row into one of the task's, so that prompt and labels are the task's
    own, or gives None for a row that is not to be asked; those are counted.
    `merge` maps labels of the task to others of it, in answers and targets alike, where
    the set tells fewer apart: `{"maybe": "no"}` reads MNLI's three labels as two.
    """

    to_row: Callable[[Row], Row | None]
    merge: Mapping[str, str] = field(default_factory=dict)
    subset: str | None = None  # of the hub's dataset
    split: str = ""  # of the hub's dataset, as `datasets` writes it

    def merged(self, answer: str | None) -> str | None:
        """An answer in the labels that the set tells apart; None stays None."""
        return None if answer is None else self.merge.get(answer, answer)

    def labels(self, task_labels: tuple[str, ...]) -> tuple[str, ...]:
        """The task's labels that are left, in the task's order."""
        return tuple(label for label in task_labels if label not in self.merge)


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A perturbed test set. One file in `perturbations/` ends with
    `PERTURBATION = Perturbation(...)`. Nothing is ever trained or chosen on it.

    Rows come from `robustness/<name>.jsonl.gz` (or .jsonl, .parquet) in the data folder,
    else from the hub, where `hub_id` names a copy at a pinned `revision`; `upstream` says
    where the authors publish the files. `version` rises whenever a reading changes.
    """

    description: str
    paper: str
    license: str
    upstream: str
    fields: tuple[str, ...]  # that every row must have
    readings: Mapping[str, Reading]  # by the name of the task
    hub_id: str | None = None
    revision: str | None = None
    file: str = ""  # in the data folder, without its ending; "": the set's own name
    version: int = 1
    example_row: Row = field(default_factory=dict)  # hand-written, for docs and tests
