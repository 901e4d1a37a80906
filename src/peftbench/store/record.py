"""A record: the outcome of a cell, put together from those of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peftbench.evaluation.scores import Baseline, PerturbedScores, Score, Unavailable
from peftbench.manifest import Manifest
from peftbench.spec.cell import Cell
from peftbench.spec.facts import Leak, LeftOut, MethodFacts, TaskFacts
from peftbench.spec.frozen import Frozen
from peftbench.spec.steps import TestSet
from peftbench.store._results import Result, Results
from peftbench.store.outcomes import (
    Graded,
    Kind,
    Outcome,
    Predicted,
    Provenance,
    Reported,
    Status,
    Trained,
)
from peftbench.store.planned import PlannedCell, TrialResult
from peftbench.training.validation import Validation


class Counts(Frozen):
    """Rows that a run used, and what became of the others."""

    train_examples: int = 0
    train_left_out_as_too_long: int = 0
    """Training examples whose answers do not fit into the run's length."""
    train_prompts_cut: int = 0
    """At their start, to fit into the run's length."""
    validation_examples: int = 0
    test_examples: int | None = None
    """None where the test split was not answered."""
    test_prompts_cut: int | None = None
    rows_left_out: tuple[LeftOut, ...] = ()
    """Rows that a split cannot use."""
    leaks: tuple[Leak, ...] = ()
    """Every pair of splits, also those that share nothing; none where nobody counted."""


class Evaluation(Frozen):
    """An adapter on a perturbed test set."""

    test_set: TestSet
    error: str | None = None
    """Why there is no score: what happened and what to do next."""
    comparison: PerturbedScores | None = None
    """None where there is an error."""
    examples: int = 0
    rows_not_asked: int = 0
    prompts_cut: int = 0


class Record(Frozen):
    """The outcome of one cell: enough to rank it, audit it and repeat it."""

    kind: Kind = "run"
    cell: Cell
    task: TaskFacts
    method: MethodFacts = MethodFacts()
    status: Status
    manifest: Manifest
    error: str | None = None
    """Why a cell did not finish: what happened and what to do next."""
    scores: tuple[Score, ...] = ()
    """On the test split, the headline metric first unless it is unavailable; then those on
    the task's further tests."""
    unavailable: tuple[Unavailable, ...] = ()
    """Metrics that could not be computed where the cell was graded."""
    baselines: tuple[Baseline, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    """On perturbed sets."""
    validations: tuple[Validation, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    """How the settings were chosen; empty where they were given."""
    steps: int = 0
    """Optimiser steps taken."""
    best_step: int | None = None
    """Step of the adapter that was kept and scored."""
    trainable_parameters: int | None = None
    stored_bytes: int | None = None
    """Bytes of the saved adapter's files."""
    micro_batch_size: int | None = None
    """What fitted into memory in the end."""
    counts: Counts | None = None
    """None where the run did not get so far, or an import does not tell."""
    facts: Mapping[str, float] = {}
    """What the method says of what it learned: "tokens selected, ..."."""
    seconds: Mapping[str, float] = {}
    """Wall time by phase. An account of the run, not a measure of the method's cost."""
    wall_seconds: float | None = None
    """Of all its steps; what the phases add up to."""
    provenance: Provenance | None = None
    """None for a run of ours, of which `manifest` says all."""
    reported: Reported | None = None
    times_graded: int = 0
    """More than once where predictions were scored again; the newest scores are shown."""
    grade: str | None = None
    """Id of the step that graded the test split: its marks are the scores' rows."""
    has_adapter: bool = False
    """Whether its adapter is kept."""

    @property
    def headline(self) -> Score | None:
        """The score that tables show; None where the cell did not finish, or where that
        metric could not be computed."""
        if any(one.is_headline for one in self.unavailable):
            return None
        return self.scores[0] if self.scores else None


def records_of(results: Results, planned: Iterable[PlannedCell]) -> dict[str, Record]:
    """The records of the cells that have ended, by cell id."""
    cells = list(planned)
    wanted = [predict.id for one in cells for predict in one.predicts]
    trained = [one.cell.train.id for one in cells if one.cell.train]
    found = results.by_id([*trained, *wanted])
    graded = results.looking_at(wanted, "grade")
    records = {one.cell.id: _record(one, found, graded) for one in cells}
    return {cell: record for cell, record in records.items() if record is not None}


def record_of(results: Results, planned: PlannedCell) -> Record | None:
    """The record of one cell; None where it has not ended."""
    return records_of(results, [planned]).get(planned.cell.id)


def _record(
    planned: PlannedCell,
    found: Mapping[str, Result],
    graded: Mapping[str, Sequence[Result]],
) -> Record | None:
    cell, train = planned.cell, planned.cell.train
    trained = found.get(train.id) if train else None
    predicted = found.get(cell.id)
    grades = graded.get(cell.id, ())
    parts = [one.outcome for one in (trained, predicted, *grades[-1:]) if one is not None]
    failed = next((one for one in parts if _outcome(one).status != "finished"), None)
    if failed is None and not grades:
        return None
    run = trained.outcome if trained else None
    asked = predicted.outcome if predicted else None
    marks = grades[-1].outcome if grades else None
    assert run is None or isinstance(run, Trained)
    assert asked is None or isinstance(asked, Predicted)
    assert marks is None or isinstance(marks, Graded)
    further = [
        one[-1].outcome
        for predict in planned.predicts[1:]
        if not predict.test_set.is_perturbed and (one := graded.get(predict.id))
    ]
    values: dict[str, Any] = {}
    if run is not None:
        names = (
            "kind", "validations", "steps", "best_step", "trainable_parameters",
            "stored_bytes", "micro_batch_size", "facts", "provenance", "reported",
        )  # fmt: skip
        values |= {name: getattr(run, name) for name in names}
    elif asked is not None:
        values["trainable_parameters"] = asked.trainable_parameters
        values["stored_bytes"] = asked.stored_bytes
    if marks is not None:
        values |= {
            "scores": (
                *marks.scores,
                *(score for one in further for score in one.scores),  # type: ignore[union-attr]
            ),
            "unavailable": marks.unavailable,
            "baselines": marks.baselines,
        }
    return Record(
        cell=cell,
        task=planned.task,
        method=planned.method,
        status=_outcome(failed).status if failed else "finished",
        error=_outcome(failed).error if failed else None,
        manifest=_manifest([_outcome(one) for one in parts]),
        evaluations=_evaluations(planned, found, graded),
        trials=planned.trials,
        counts=_counts(run, asked, marks),
        seconds=_seconds([_outcome(one) for one in parts]),
        wall_seconds=_wall_seconds([_outcome(one) for one in parts]),
        times_graded=len(grades),
        grade=grades[-1].step.id if grades else None,
        has_adapter=trained is not None and trained.has_adapter,
        **values,
    )


def _outcome(one: Any) -> Outcome:
    assert isinstance(one, Outcome)
    return one


def _evaluations(
    planned: PlannedCell,
    found: Mapping[str, Result],
    graded: Mapping[str, Sequence[Result]],
) -> tuple[Evaluation, ...]:
    rows = []
    for predict in planned.predicts[1:]:
        asked = found.get(predict.id)
        if asked is None or not predict.test_set.is_perturbed:
            continue
        outcome = asked.outcome
        assert isinstance(outcome, Predicted)
        grades = graded.get(predict.id)
        if not grades and outcome.error is None:
            continue
        marks = grades[-1].outcome if grades else None
        assert marks is None or isinstance(marks, Graded)
        rows.append(
            Evaluation(
                test_set=predict.test_set,
                error=outcome.error or (marks.error if marks else None),
                comparison=marks.perturbed if marks else None,
                examples=outcome.examples,
                rows_not_asked=outcome.rows_not_asked,
                prompts_cut=outcome.prompts_cut,
            )
        )
    return tuple(rows)


def _counts(
    run: Trained | None, asked: Predicted | None, marks: Graded | None
) -> Counts | None:
    if asked is None or marks is None or (run is not None and run.kind != "run"):
        return None
    return Counts(
        train_examples=run.train_examples if run else 0,
        train_left_out_as_too_long=run.train_left_out_as_too_long if run else 0,
        train_prompts_cut=run.train_prompts_cut if run else 0,
        validation_examples=run.validation_examples if run else 0,
        test_examples=asked.examples,
        test_prompts_cut=asked.prompts_cut,
        rows_left_out=marks.rows_left_out,
        leaks=marks.leaks,
    )


def _manifest(parts: Sequence[Outcome]) -> Manifest:
    """Of the first step, with what the later ones add: when all ended, how answers were
    decoded, what ran programs."""
    known = [one.manifest for one in parts if one.manifest]
    first, last = known[0], known[-1]
    return first.model_copy(
        update={
            "finished_at": last.finished_at,
            "decoding": next((one.decoding for one in known if one.decoding), None),
            "programs_run_in": last.programs_run_in,
            "ran_programs_unsafely": any(one.ran_programs_unsafely for one in known),
        }
    )


def _seconds(parts: Sequence[Outcome]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in parts:
        for phase, seconds in one.seconds.items():
            total[phase] = round(total.get(phase, 0.0) + seconds, 4)
    return total


def _wall_seconds(parts: Sequence[Outcome]) -> float | None:
    known = [one.wall_seconds for one in parts if one.wall_seconds is not None]
    return round(sum(known), 4) if known else None
