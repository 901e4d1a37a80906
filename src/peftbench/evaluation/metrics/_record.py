"""ReCoRD's official scorer (Zhang et al., 2018, arXiv:1810.12885): answers as SQuAD
compares them, without case, punctuation, articles and repeated blanks."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from peftbench.evaluation.metrics._metric import Answers

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """A text as it is compared.

    >>> normalised("The  U.S. Army")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, references: Sequence[str]) -> float:
    """1.0 if it is one of the answers, else 0.0."""
    return float(normalised(predicted) in map(normalised, references))


def best_f1(predicted: str, references: Sequence[str]) -> float:
    """The highest token F1 with any of the answers."""
    return max(_token_f1(normalised(predicted), normalised(text)) for text in references)


def weighted_mean(answers: Answers, value: Callable[[str, Sequence[str]], float]) -> float:
    """Mean over rows, each of which counts once for every one of its references."""
    rows = zip(answers.predicted, answers.all_references, strict=True)
    worth = [(value(p or "", r), len(r)) for p, r in rows]
    return sum(v * weight for v, weight in worth) / sum(weight for _, weight in worth)


def _token_f1(predicted: str, reference: str) -> float:
    given, gold = predicted.split(), reference.split()
    shared = sum((Counter(given) & Counter(gold)).values())
    return 2 * shared / (len(given) + len(gold)) if shared else 0.0
