"""Answers to a test set, graded by all metrics of their task. Needs no model and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.metrics._jackknife import pseudo_values, standard_error
from peftbench.evaluation.scores import Score
from peftbench.tasks import Task


@dataclass(frozen=True)
class Grade:
    """Scores, the headline first, and what every row adds to the headline."""

    scores: tuple[Score, ...]
    rows: Sequence[float | None]


def grade(task: Task, answers: Answers) -> Grade:
    """All of the task's metrics that these answers allow, and how well they were read.

    A metric that needs columns which the answers lack, such as a program's tests, is left
    out; raises `ValueError` if that is the headline.
    """
    missing = unmet(task.headline, answers)
    if missing:
        raise ValueError(f"{task.headline} needs {' and '.join(missing)}.")
    rows = pseudo_values(metrics.get(task.headline), answers)
    names = dict.fromkeys([*task.metrics, "format_error_rate"])
    scores = tuple(
        score_of(name, answers, rows if name == task.headline else None)
        for name in names
        if not unmet(name, answers)
    )
    return Grade(scores, rows)


def unmet(metric: str, answers: Answers) -> tuple[str, ...]:
    """The columns that a metric needs and these answers do not have, and samples."""
    kind = metrics.get(metric)
    samples = min(map(len, answers.sampled_verdicts), default=0)
    return (
        *(name for name in kind.needs if not getattr(answers, name)),
        *((f"{kind.samples} samples",) if samples < kind.samples else ()),
    )


def score_of(
    name: str, answers: Answers, row_scores: Sequence[float | None] | None = None
) -> Score:
    """One metric with its standard error; `row_scores` are its pseudo-values if known."""
    metric = metrics.get(name)
    values = pseudo_values(metric, answers) if row_scores is None else row_scores
    return Score(
        name=name,
        value=metric.score(answers),
        standard_error=standard_error(values),
        examples=len(answers),
    )
