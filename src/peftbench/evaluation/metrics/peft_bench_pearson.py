"""PEFT-Bench's Pearson correlation: an unreadable output counts as the number -1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics.pearson import correlation

_UNREADABLE = -1.0


def numbers(
    answers: Answers,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predicted and gold numbers, -1 where an output could not be read."""
    read = [_UNREADABLE if p is None else float(p) for p in answers.predicted]
    return np.array(read), np.array([float(target) for target in answers.targets])


def score(answers: Answers) -> float:
    """Pearson's r in [-1, 1]; 0 where a side is constant, where the published scorer has
    no number. Nothing bounds a far-off prediction: one of them decides the correlation.

    >>> round(score(Answers(predicted=["1", None, "3"], targets=["1", "2", "3"])), 3)
    0.5
    """
    return correlation(*numbers(answers))


METRIC = Metric(
    score=score, unit="correlation", lowest=-1.0, highest=1.0, chance_is_zero=True
)
