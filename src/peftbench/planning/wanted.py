"""Which steps a benchmark still wants, as pieces of work.

Another test split, metric, perturbed set or seed wants only what is new: what the store has of
a cell's steps is not asked for again. `--retry` and `--fresh` forget, `--robust` adds test sets,
`rescore` wants grades by today's scorer; all of them then come through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from peftbench import tasks
from peftbench.evaluation.grading import scorer_digest
from peftbench.spec import Cell, Grade, Predict
from peftbench.store import Look, PlannedCell, Results, Work


def wanted(
    planned: Sequence[PlannedCell], results: Results, *, keep_adapters: bool = False
) -> list[Work]:
    """What is missing of these cells, one piece for each adapter, in their order.

    Nothing more is wanted of a step that failed, nor of what looks at it.
    """
    asked = [(one, one.predicts) for one in planned]
    trains = [one.cell.train.id for one in planned if one.cell.train]
    predicts = [predict.id for _, own in asked for predict in own]
    status = results.status([*trains, *predicts])
    graded = results.graded_metrics(predicts)
    scorings: dict[tuple[str, str, bool], Scoring] = {}
    found: dict[str, Work] = {}
    for one, own in asked:
        cell, train = one.cell, one.cell.train
        if train is not None and status.get(train.id, "finished") != "finished":
            continue
        key = cell.task.name, cell.protocol, bool(cell.origin)
        if key not in scorings:
            scorings[key] = Scoring.of(cell)
        scoring = scorings[key]
        looks = tuple(
            Look(
                predict=predict,
                grade=None if is_graded else grade_step(cell, predict, scoring),
            )
            for predict in own
            if status.get(predict.id, "finished") == "finished"
            for is_graded in [scoring.is_covered_by(graded.get(predict.id, ()))]
            if predict.id not in status or not is_graded
        )
        if looks or (train is not None and train.id not in status):
            _add(found, work_on(one.cell, looks, keep_adapter=keep_adapters))
    return list(found.values())


class Scoring(NamedTuple):
    """How the answers to a task are graded today."""

    metrics: tuple[str, ...]
    scorer: str

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """By its task and protocol alone."""
        is_published = cell.protocol == "peft-bench" or bool(cell.origin)
        scorer = scorer_digest(cell.task.name, published=is_published)
        return cls(metrics_of(cell), scorer)

    def is_covered_by(self, graded: Iterable[Sequence[str]]) -> bool:
        """Whether some grade of predictions has all metrics of the task."""
        asked = set(self.metrics)
        return any(asked <= set(names) for names in graded)


def work_on(cell: Cell, looks: tuple[Look, ...], *, keep_adapter: bool = False) -> Work:
    """The work on the adapter of one cell."""
    return Work(
        unit=cell.train.id if cell.train else cell.id,
        model=cell.model.name,
        location=cell.method.location,
        train=cell.train,
        looks=looks,
        keep_adapter=keep_adapter,
    )


def grade_step(cell: Cell, predict: Predict, scoring: Scoring | None = None) -> Grade:
    """How the answers to a test set are graded today; `scoring` is the cell's, where it is
    known."""
    beside = cell.id if predict.test_set.is_perturbed else None
    metrics, scorer = scoring or Scoring.of(cell)
    return Grade(
        predictions=predict.id,
        beside=beside,
        train_limit=None if beside else cell.limits.train,
        validation_limit=None if beside else cell.limits.validation,
        metrics=metrics,
        scorer=scorer,
    )


def metrics_of(cell: Cell) -> tuple[str, ...]:
    """The metrics of its task, by its protocol."""
    return tuple(tasks.get(cell.task.name, cell.protocol).metrics)


def _add(found: dict[str, Work], work: Work) -> None:
    """Two cells may share an adapter: then one piece of work has the looks of both."""
    known = found.get(work.unit)
    if known is not None:
        looks = {look.predict.id: look for look in (*known.looks, *work.looks)}
        work = work.model_copy(update={"looks": tuple(looks.values())})
    found[work.unit] = work
