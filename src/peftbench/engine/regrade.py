"""All stored predictions graded again by today's code: no model and no data are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftbench.engine.grade import grade
from peftbench.errors import PeftbenchError
from peftbench.evaluation.scores import Score
from peftbench.planning.wanted import grade_step
from peftbench.spec import Predict
from peftbench.store import Graded, PlannedCell, Result, Results, write_marks
from peftbench.store.outcomes import Predicted


@dataclass(frozen=True)
class Regraded:
    """What became of one test set of one cell."""

    planned: PlannedCell
    test_set: str
    old: tuple[Score, ...]
    """In force until now."""
    new: tuple[Score, ...]
    """`old` where nothing changed or nothing could be done."""
    reason: str = ""
    """Why it could not be graded again."""

    @property
    def is_changed(self) -> bool:
        """Whether a new grade was stored."""
        return self.new is not self.old


def regrade(
    planned: Sequence[PlannedCell], results: Results, *, unsafe_run_code: bool = False
) -> list[Regraded]:
    """Grade again what was graded, and store the grades that are not those in force.

    Programs are run where no verdict on them is stored, or they are read otherwise today.
    """
    predicts = [(one, predict) for one in planned for predict in one.predicts]
    asked = results.by_id(predict.id for _, predict in predicts)
    graded = results.looking_at(asked, "grade")
    found = {}
    for one, predict in predicts:
        known = asked.get(predict.id)
        if known is None or not isinstance(known.outcome, Predicted) or predict.id in found:
            continue
        if known.status == "finished" and (before := graded.get(predict.id)):
            found[predict.id] = _again(one, predict, before[-1], results, unsafe_run_code)
    return list(found.values())


def scores_of(outcome: Graded) -> tuple[Score, ...]:
    """All of a grade's scores: of a perturbed set also the one that it is held against."""
    if outcome.perturbed is None:
        return outcome.scores
    return (*outcome.perturbed.scores, outcome.perturbed.clean)


def _again(
    planned: PlannedCell, predict: Predict, before: Result, results: Results, unsafe: bool
) -> Regraded:
    assert isinstance(before.outcome, Graded)
    old, name = scores_of(before.outcome), predict.test_set.name
    try:
        step = grade_step(planned.cell, predict)
        outcome, marks = grade(results, predict, step, data=None, unsafe_run_code=unsafe)
    except (PeftbenchError, ValueError) as error:
        return Regraded(planned, name, old, old, str(error))
    outcome = _with_what_stays(before.outcome, outcome)
    staging = results.staging(step.id, results.new_token())
    write_marks(staging, marks)
    if _said(outcome) == _said(before.outcome) and results.has_same_files(before, staging):
        results.discard(staging)
        return Regraded(planned, name, old, old)
    # The same scorer may grade again: it is back, or programs can be run here.
    results.forget([step.id])
    results.commit(None, step, outcome, staging, origin="graded again")
    return Regraded(planned, name, old, scores_of(outcome))


def _with_what_stays(before: Graded, now: Graded) -> Graded:
    """What predictions do not give, such as programs that have to be run, stays."""
    known = {(score.test_set, score.metric) for score in now.scores}
    kept = [one for one in before.scores if (one.test_set, one.metric) not in known]
    told = known | {(one.test_set, one.metric) for one in kept}
    return now.model_copy(
        update={
            "scores": (*now.scores, *kept),
            "unavailable": tuple(
                one for one in now.unavailable if (one.test_set, one.metric) not in told
            ),
        }
    )


def _said(outcome: Graded) -> object:
    return outcome.scores, outcome.unavailable, outcome.baselines, outcome.perturbed
