"""Which steps a benchmark still wants, as pieces of work.

Another test split, metric, perturbed set or seed wants only what is new: what the store has of
a cell's steps is not asked for again. `--retry` and `--fresh` forget, `--robust` adds test sets,
`rescore` wants grades by today's scorer; all of them then come through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    trains = [one.cell.train.id for one in planned if one.cell.train]
    predicts = [predict.id for one in planned for predict in one.predicts]
    status = results.status([*trains, *predicts])
    graded = results.graded_metrics(predicts)
    found: dict[str, Work] = {}
    for one in planned:
        train = one.cell.train
        if train is not None and status.get(train.id, "finished") != "finished":
            continue
        looks = tuple(
            Look(
                predict=predict, grade=None if is_graded else grade_step(one.cell, predict)
            )
            for predict in one.predicts
            if status.get(predict.id, "finished") == "finished"
            for is_graded in [_covers(one.cell, graded.get(predict.id, ()))]
            if predict.id not in status or not is_graded
        )
        if looks or (train is not None and train.id not in status):
            _add(found, work_on(one.cell, looks, keep_adapter=keep_adapters))
    return list(found.values())


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


def grade_step(cell: Cell, predict: Predict) -> Grade:
    """How the answers to a test set are graded today."""
    beside = cell.id if predict.test_set.is_perturbed else None
    return Grade(
        predictions=predict.id,
        beside=beside,
        train_limit=None if beside else cell.limits.train,
        validation_limit=None if beside else cell.limits.validation,
        metrics=metrics_of(cell),
        scorer=scorer_digest(
            cell.task.name, published=cell.protocol == "peft-bench" or bool(cell.origin)
        ),
    )


def metrics_of(cell: Cell) -> tuple[str, ...]:
    """The metrics of its task, by its protocol."""
    return tuple(tasks.get(cell.task.name, cell.protocol).metrics)


def _covers(cell: Cell, graded: Iterable[Sequence[str]]) -> bool:
    """Whether some grade of the predictions has all metrics of the task."""
    asked = set(metrics_of(cell))
    return any(asked <= set(names) for names in graded)


def _add(found: dict[str, Work], work: Work) -> None:
    """Two cells may share an adapter: then one piece of work has the looks of both."""
    known = found.get(work.unit)
    if known is not None:
        looks = {look.predict.id: look for look in (*known.looks, *work.looks)}
        work = work.model_copy(update={"looks": tuple(looks.values())})
    found[work.unit] = work
