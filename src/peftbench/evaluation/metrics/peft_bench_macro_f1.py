"""PEFT-Bench's macro-F1: unreadable outputs are charged to the first two labels."""

from __future__ import annotations

from statistics import fmean

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._peft_bench import f1_of, replaced


def score(answers: Answers) -> float:
    """Mean F1 over the labels that occur among targets or predictions, as scikit-learn
    takes it; an unreadable output counts as the first label, or as the second where the
    first is gold.

    >>> score(Answers(predicted=["a", None], targets=["a", "c"], labels=("a", "b", "c")))
    0.3333333333333333
    """
    predicted = replaced(answers)
    present = sorted({*predicted, *answers.targets})
    return fmean(f1_of(label, predicted, answers) for label in present)


METRIC = Metric(score=score, unit="F1", lowest=0.0, highest=1.0)
