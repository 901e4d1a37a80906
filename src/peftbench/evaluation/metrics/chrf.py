"""chrF: character n-gram F-score (Popović, 2015, W15-3049), through sacrebleu."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._references import best_likeness, mean

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


@lru_cache(maxsize=1)
def _scorer() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    # Character n-grams up to 6 and beta 2, sacrebleu's defaults; blanks do not count.
    return CHRF()


def likeness(answer: str, reference: str) -> float:
    """chrF2 of one answer, in [0, 1].

    >>> likeness("x = 1", "x=1"), likeness("y", "x")
    (1.0, 0.0)
    """
    return float(_scorer().sentence_score(answer, [reference]).score) / 100


def per_row(answers: Answers) -> list[float | None]:
    """chrF2 with the closest reference; 0 for an empty or unreadable answer."""
    return best_likeness(answers, likeness)


def score(answers: Answers) -> float:
    """Mean over rows: every row weighs the same, however long it is."""
    return mean(per_row(answers))


METRIC = Metric(
    score=score,
    unit="chrF",
    lowest=0.0,
    highest=1.0,
    per_row=per_row,
    needs=("references",),
)
