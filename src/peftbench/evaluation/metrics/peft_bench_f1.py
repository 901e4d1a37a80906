"""PEFT-Bench's F1: of the second label, every unreadable output counted as the opposite."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._peft_bench import f1_of, replaced


def score(answers: Answers) -> float:
    """F1 of `labels[1]`; an unreadable output is both a miss and a false alarm.

    >>> score(Answers(predicted=["yes", None], targets=["yes", "no"], labels=("no", "yes")))
    0.6666666666666666
    """
    return f1_of(answers.labels[1], replaced(answers), answers)


METRIC = Metric(score=score, unit="F1", lowest=0.0, highest=1.0)
