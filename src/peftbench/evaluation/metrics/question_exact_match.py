"""Exact match by question: all proposed answers to a question are judged right (MultiRC)."""

from __future__ import annotations

from collections.abc import Hashable

from peftbench.evaluation.metrics._metric import Answers, Metric


def score(answers: Answers) -> float:
    """Share of questions of which every row is right, as the SuperGLUE scorer counts.

    The rows of one question have the same group (its passage) and `extra["question"]`.

    >>> score(Answers(predicted=["yes", "no", "no"], targets=["yes", "no", "yes"],
    ...               groups=["p", "p", "p"],
    ...               extras=[{"question": q} for q in ("Who?", "Who?", "Where?")]))
    0.5
    """
    is_right: dict[Hashable, bool] = {}
    for predicted, target, group, extra in zip(
        answers.predicted, answers.targets, answers.groups, answers.extras, strict=True
    ):
        question = (group, extra["question"])
        is_right[question] = is_right.get(question, True) and predicted == target
    return sum(is_right.values()) / len(is_right)


METRIC = Metric(
    score=score,
    unit="fraction of questions correct",
    lowest=0.0,
    highest=1.0,
    leave_out="group",
    needs=("groups", "extras"),
)
