"""Macro-F1: the unweighted mean of the F1 of every label of the task."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric


def f1_of(label: str, answers: Answers) -> float:
    """``2 TP / (2 TP + FP + FN)`` of one label; 0 where it neither occurs nor is given.

    An unreadable answer is a miss of its gold label and a false alarm of none.
    """
    pairs = list(zip(answers.predicted, answers.targets, strict=True))
    hits = sum(predicted == target == label for predicted, target in pairs)
    given = sum(predicted == label for predicted, _ in pairs)
    gold = sum(target == label for _, target in pairs)
    return 2 * hits / (given + gold) if given + gold else 0.0


def score(answers: Answers) -> float:
    """Mean over the task's labels, whether or not they occur among the targets.

    >>> score(Answers(predicted=["a", None], targets=["a", "b"], labels=("a", "b")))
    0.5
    """
    return sum(f1_of(label, answers) for label in answers.labels) / len(answers.labels)


METRIC = Metric(score=score, unit="F1", lowest=0.0, highest=1.0)
