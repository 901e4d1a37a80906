"""Stored predictions to a grade: by the worker that made them, or later by a newer scorer."""

from __future__ import annotations

from collections.abc import Sequence

import peftbench
from peftbench import tasks
from peftbench.engine.clock import PhaseClock
from peftbench.errors import DataError
from peftbench.evaluation import metrics
from peftbench.evaluation.grading import Read, Reader, published_reader
from peftbench.evaluation.programs import Execution
from peftbench.evaluation.rows import Mark, Prediction
from peftbench.manifest import made_here, now
from peftbench.spec import Grade, Predict
from peftbench.store import (
    MARKS,
    PREDICTIONS,
    Graded,
    Results,
    read_marks,
    read_predictions,
)
from peftbench.tasks import perturbations
from peftbench.tasks._data import TaskData
from peftbench.tasks.perturbations import Reading


def grade(
    results: Results,
    predict: Predict,
    step: Grade,
    *,
    data: TaskData | None,
    unsafe_run_code: bool = False,
    threads: int = 1,
) -> tuple[Graded, Sequence[Mark]]:
    """Grade the stored answers of `predict`. No model is needed, and `data`, of which the
    constants are chosen, only the first time: later they are the earlier grade's.

    Raises `ValueError` or `DataError` where the rows do not fit today's task.
    """
    clock, started_at = PhaseClock(), now()
    task = tasks.get(predict.task.name, predict.protocol)
    graded = results.looking_at([predict.id], "grade").get(predict.id, [])
    before = [one for one in graded if one.status == "finished"]
    earlier = before[-1].outcome if before else None
    assert earlier is None or isinstance(earlier, Graded)
    marks = results.file(before[-1], MARKS) if before else None
    execution = _execution(task, unsafe=unsafe_run_code)
    reader = Reader(
        task=task,
        test_set=predict.test_set.name,
        read=_reads_published(predict, task),
        reading=_reading(predict),
        execution=execution,
    )
    with clock.phase("grade"):
        found = reader.grade(
            rows_of(results, predict.id),
            clean=rows_of(results, step.beside) if step.beside else (),
            train=data.examples["train"] if data else None,
            constants=earlier.baselines if earlier else (),
            known=read_marks(marks) if marks else (),
        )
    has_run = any(mark.verdict is not None for mark in found.marks)
    runner = execution.runner if execution and has_run else None
    is_own = not predict.test_set.is_perturbed
    outcome = Graded(
        scores=found.scores if is_own else (),
        unavailable=found.unavailable,
        baselines=found.baselines,
        perturbed=found.perturbed,
        scorer=step.scorer,
        peftbench_version=peftbench.__version__,
        task_version=task.version,
        graded_at=now(),
        manifest=made_here(
            started_at=started_at,
            device="",
            threads=threads,
            programs_run_in=runner.description if runner else None,
            ran_programs_unsafely=runner is not None and not runner.is_safe,
        ),
        seconds=clock.read(),
        wall_seconds=clock.wall_seconds,
    )
    if is_own and data is not None:
        counted = {"leaks": data.leaks, "rows_left_out": data.left_out}
    elif is_own and earlier is not None:
        counted = {"leaks": earlier.leaks, "rows_left_out": earlier.rows_left_out}
    else:
        counted = {}
    return outcome.model_copy(update=counted), found.marks


def rows_of(results: Results, predict_id: str) -> list[Prediction]:
    """The stored answers of a step; raises `DataError` where there are none."""
    result = results.by_id([predict_id]).get(predict_id)
    path = results.file(result, PREDICTIONS) if result else None
    if path is None:
        raise DataError("It has no stored predictions.")
    return read_predictions(path)


def _execution(task: tasks.Task, *, unsafe: bool) -> Execution | None:
    """What runs programs, where a metric needs it."""
    if any(metrics.get(name).runs_programs for name in task.metrics):
        return Execution.here(unsafe=unsafe)
    return None


def _reads_published(predict: Predict, task: tasks.Task) -> Read | None:
    """How an import's outputs, in published words, are read by the strict rules."""
    if predict.origin is None or predict.protocol != "strict":
        return None
    return published_reader(predict.task.name, task)


def _reading(predict: Predict) -> Reading | None:
    """How a perturbed set reads the task's labels."""
    test_set = predict.test_set
    if not test_set.is_perturbed:
        return None
    found = perturbations.get(test_set.name)
    if found.version != test_set.version:
        raise DataError(
            f"{test_set.name} is read in another way since it was asked (version "
            f"{found.version}, then {test_set.version}). Ask the adapter again: "
            "`peftbench robustness`."
        )
    return found.readings[tasks.CATALOGUE.canonical(predict.task.name)]
