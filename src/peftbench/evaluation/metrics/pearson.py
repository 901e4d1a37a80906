"""Pearson correlation between predicted and gold numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from peftbench.evaluation.metrics._metric import Answers, Metric

Numbers = npt.NDArray[np.float64]


def numbers(answers: Answers) -> tuple[Numbers, Numbers]:
    """Predicted and gold numbers; NaN where an answer could not be read."""
    read = [np.nan if p is None else float(p) for p in answers.predicted]
    return np.array(read), np.array([float(target) for target in answers.targets])


def filled(read: Numbers) -> Numbers:
    """Every unreadable answer becomes the mean of the readable ones: it tells nothing about
    its row, so it adds nothing to the covariance while its gold value still adds to the
    spread that has to be explained."""
    known = ~np.isnan(read)
    return np.where(known, read, read[known].mean() if known.any() else 0.0)


def correlation(predicted: Numbers, gold: Numbers) -> float:
    """Pearson's r, and 0 where either side is constant."""
    x, y = predicted - predicted.mean(), gold - gold.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    scale = float(np.abs(predicted).max() * np.abs(gold).max()) or 1.0
    return float(np.clip(x @ y / spread, -1, 1)) if spread > 1e-12 * scale else 0.0


def score(answers: Answers) -> float:
    """Pearson's r in [-1, 1].

    >>> score(Answers(predicted=["1", "2", "3"], targets=["2", "4", "6"]))
    1.0
    >>> score(Answers(predicted=["1", "1", None], targets=["2", "4", "6"]))
    0.0
    """
    read, gold = numbers(answers)
    # Far-off numbers would decide the correlation alone; the task's own range is kept.
    low, high = gold.min(), gold.max()
    read = np.clip(read, low - (high - low), high + (high - low))
    return correlation(filled(read), gold)


METRIC = Metric(
    score=score, unit="correlation", lowest=-1.0, highest=1.0, chance_is_zero=True
)
