"""PEFT-Bench's exact equations on SVAMP: true, and written as the gold one is."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.tasks.peft_bench._equation import Equation, read_equation


def per_row(answers: Answers) -> list[float]:
    """1.0 for a true equation with the gold left side, blanks included, else 0.0."""
    pairs = zip(answers.predicted, answers.targets, strict=True)
    return [_is_gold(read_equation(p) if p else None, read_equation(t)) for p, t in pairs]


def score(answers: Answers) -> float:
    """Share of equations as the gold ones are written; the publication gives the count.

    >>> score(Answers(predicted=["( 9 - 2 ) = 7", "(9 - 2) = 7"], targets=["( 9 - 2 ) = 7.0"] * 2))
    0.5
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


def _is_gold(given: Equation | None, gold: Equation | None) -> float:
    if given is None or gold is None or not given.is_consistent:
        return 0.0
    return float(given.is_written_as(gold))


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, per_row=per_row
)
