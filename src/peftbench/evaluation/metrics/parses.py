"""Parses: the share of answers that are programs of Python 3, whatever they do."""

from __future__ import annotations

import ast
import warnings

from peftbench.evaluation.metrics._metric import Answers, Metric


def is_python(source: str | None) -> bool:
    """Whether it is a program of the Python that runs this.

    >>> is_python("x = [1]"), is_python("x = ["), is_python(None)
    (True, False, False)
    """
    if source is None:
        return False
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def per_row(answers: Answers) -> list[float]:
    """1.0 for a program, else 0.0; an unreadable answer is none."""
    return [float(is_python(predicted)) for predicted in answers.predicted]


def score(answers: Answers) -> float:
    """Share of answers that parse."""
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="fraction that parses", lowest=0.0, highest=1.0, per_row=per_row
)
