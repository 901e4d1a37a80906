"""What metrics of likeness share: the best over a row's references, the mean over rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peftbench.evaluation.metrics._metric import Answers


def best_likeness(
    answers: Answers, likeness: Callable[[str, str], float]
) -> list[float | None]:
    """For every row the greatest ``likeness(answer, reference)``: 0 for an unreadable or
    empty answer, None without a reference."""
    rows: list[float | None] = []
    for answer, given in zip(answers.predicted, answers.all_references, strict=True):
        right = [reference for reference in given if reference.strip()]
        if not right:
            rows.append(None)
        elif answer is None or not answer.strip():
            rows.append(0.0)
        else:
            rows.append(max(likeness(answer, reference) for reference in right))
    return rows


def mean(rows: Sequence[float | None]) -> float:
    """Over the rows that have a value; 0 where none has."""
    known = [value for value in rows if value is not None]
    return sum(known) / len(known) if known else 0.0
