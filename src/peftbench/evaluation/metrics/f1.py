"""F1 of the positive class: the second label of a two-way task."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics.macro_f1 import f1_of


def score(answers: Answers) -> float:
    """F1 of `labels[1]`, as the GLUE and SuperGLUE scorers count it.

    >>> score(Answers(predicted=["no", "yes"], targets=["yes", "yes"], labels=("no", "yes")))
    0.6666666666666666
    """
    return f1_of(answers.labels[1], answers)


METRIC = Metric(score=score, unit="F1", lowest=0.0, highest=1.0)
