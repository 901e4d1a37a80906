"""What an answer that ignores its prompt would score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from peftbench.evaluation.metrics._metric import Answers, Metric


def constant_answer(train_targets: Sequence[str], *, is_number: bool) -> str:
    """The best constant answer that the training part suggests: its mean where targets
    are numbers to be correlated, else its most frequent target."""
    if is_number:
        return f"{sum(map(float, train_targets)) / len(train_targets):g}"
    counts = Counter(train_targets)
    return min(counts, key=lambda target: (-counts[target], target))


def best_constant(metric: Metric, answers: Answers) -> tuple[str, float]:
    """The one answer that scores best on these rows when given to all, and its score.

    Of a label task every label is tried (of equal ones the first counts), of free answers
    the most frequent target. A score beyond it takes reading the prompts.
    """
    tried = answers.labels or (constant_answer(answers.targets, is_number=False),)
    scores = {answer: constant_score(metric, answer, answers) for answer in tried}
    best = (max if metric.better == "higher" else min)(scores, key=lambda a: scores[a])
    return best, scores[best]


def constant_score(metric: Metric, answer: str, answers: Answers) -> float:
    """Score of giving `answer` to every row of `answers`."""
    return metric.score(replace(answers, predicted=[answer] * len(answers)))
