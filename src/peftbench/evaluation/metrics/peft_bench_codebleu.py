"""PEFT-Bench's CodeBLEU: of lower-cased text, where missing data flow counts as whole."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric

_PARTS = ("words", "keywords", "syntax", "data flow")


def likeness(answer: str, reference: str) -> float:
    """The mean of CodeBLEU's four parts, in [0, 1].

    As in the package `codebleu` 0.7, no data flow in common counts as all of it, so that
    an empty answer has a quarter of the points.

    >>> likeness("", "x = 1"), likeness("X = F(1)", "x = f(1)")
    (0.25, 1.0)
    """
    from peftbench.evaluation.metrics.codebleu import parts

    found = dict.fromkeys(_PARTS, 0.0)
    if answer.strip():
        found |= parts(answer.lower(), reference.lower())
    return sum(found[name] for name in _PARTS[:3]) / 4 + (found["data flow"] or 1.0) / 4


def score(answers: Answers) -> float:
    """Mean over the published rows: a problem stands there once for each of its solutions,
    each compared with its own answer."""
    rows = zip(answers.predicted, answers.all_references, strict=True)
    found = [likeness(p or "", one) for p, references in rows for one in references]
    return sum(found) / len(found)


METRIC = Metric(
    score=score, unit="CodeBLEU", lowest=0.0, highest=1.0, needs=("references",)
)
