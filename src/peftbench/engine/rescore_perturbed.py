"""Scores on perturbed test sets again, from stored predictions of both sides.

The clean score that stands beside a perturbed one is computed again with it, so that both
are of one scorer, as they were when the adapter was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import peftbench
from peftbench import tasks
from peftbench.engine.rescore import answers_again, likely, scorer_digest
from peftbench.errors import PeftbenchError
from peftbench.evaluation.score import compared, grade, likelihood_scores, merged
from peftbench.evaluation.scores import PerturbedScores
from peftbench.manifest import now
from peftbench.store import Evaluation, Record, RescoredEvaluation, Store
from peftbench.tasks import perturbations


@dataclass(frozen=True)
class PerturbedRescoring:
    """What became of one evaluation."""

    evaluation: Evaluation
    """As it was in force."""
    old: PerturbedScores
    """In force until now."""
    new: PerturbedScores
    """`old` where nothing changed or nothing could be done."""
    reason: str = ""
    """Why it could not be scored again."""

    @property
    def is_changed(self) -> bool:
        """Whether new scores were stored."""
        return self.new is not self.old


def rescore_perturbed(
    store: Store, cell_ids: Iterable[str]
) -> Iterator[PerturbedRescoring]:
    """Score the evaluations of these cells again, and store scores not in force."""
    records = store.records(cell_ids)
    for cell_id, shown in store.evaluations.in_force(records).items():
        for evaluation in shown:
            old = evaluation.comparison
            if old is None:  # it was never scored
                continue
            try:
                new = _compared_again(store, records[cell_id], evaluation)
            except (PeftbenchError, ValueError) as error:
                yield PerturbedRescoring(evaluation, old, old, str(error))
                continue
            if new == old:
                yield PerturbedRescoring(evaluation, old, old)
                continue
            store.evaluations.add_rescored(
                RescoredEvaluation(
                    evaluation_id=evaluation.id,
                    cell_id=cell_id,
                    scorer=scorer_digest(records[cell_id].cell.task.name, records[cell_id]),
                    peftbench_version=peftbench.__version__,
                    rescored_at=now(),
                    comparison=new,
                )
            )
            yield PerturbedRescoring(evaluation, old, new)


def _compared_again(
    store: Store, record: Record, evaluation: Evaluation
) -> PerturbedScores:
    task, test_set = tasks.get(record.cell.task.name), evaluation.test_set
    perturbation = perturbations.get(test_set.name)
    if perturbation.version != test_set.version:
        raise ValueError(
            f"{test_set.name} is read in another way since it was scored (version "
            f"{perturbation.version}, then {test_set.version}). Score the adapter again: "
            f"`peftbench robustness --store {store.folder}`."
        )
    tables = store.evaluations.predictions(evaluation), store.predictions(record.cell.id)
    if tables[0] is None or tables[1] is None:
        raise ValueError("It has no stored predictions.")
    reading = perturbation.readings[tasks.CATALOGUE.canonical(record.cell.task.name)]

    def read_merged(raw: str, extra: Mapping[str, Any]) -> str | None:
        return reading.merged(task.read(raw, extra))

    narrowed = replace(task, labels=reading.labels(task.labels))
    perturbed = answers_again(narrowed, tables[0], read_merged)
    clean = merged(answers_again(task, tables[1], task.read), reading, task)
    name = test_set.name
    scores = [
        *grade(narrowed, perturbed, test_set=name).scores,
        *likelihood_scores(perturbed, likely(tables[0]), name),
    ]
    return compared(task, scores, perturbed, clean)
