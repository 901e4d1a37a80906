"""CodeBLEU: words, keywords, syntax and data flow in common (Ren et al., 2020,
arXiv:2009.10297).

The mean of four parts, as in the paper, of one answer at a time: BLEU; BLEU whose single
words weigh one if they are keywords and a fifth if not; the share of the reference's
subtrees that the answer has too; the share of the reference's data flow. The paper's
program is not used, for reasons in docs/decisions/0021-codebleu.md, and numbers are not
those of the package `codebleu`: nothing is lower-cased, words are those of the language, an
empty answer scores 0, and data flow that is missing from the answer is 0 and never 1. A
reference without data flow has three parts.
"""

from __future__ import annotations

import keyword
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._references import best_likeness, mean

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_KEYWORDS = frozenset(keyword.kwlist)
_OTHER_WORDS_WEIGH = 0.2


def likeness(answer: str, reference: str) -> float:
    """CodeBLEU of one answer, in [0, 1].

    >>> likeness("x = f(1)", "x  =  f(1)  # comment"), likeness("print(y)", "x = [1]") < 0.2
    (1.0, True)
    """
    return sum(found := list(parts(answer, reference).values())) / len(found)


def parts(answer: str, reference: str) -> dict[str, float]:
    """The parts by name; those that the reference does not define are not there."""
    from peftbench.evaluation.metrics._python_code import analysed

    ours, theirs = analysed(answer), analysed(reference)
    bleu, weighted = _bleu(ours.words, theirs.words)
    found = {"words": bleu, "keywords": weighted}
    for name, has, wanted in (
        ("syntax", ours.shapes, theirs.shapes),
        ("data flow", ours.data_flow, theirs.data_flow),
    ):
        if wanted:
            found[name] = (Counter(wanted) & Counter(has)).total() / wanted.total()
    return found


def _bleu(answer: Sequence[str], reference: Sequence[str]) -> tuple[float, float]:
    """BLEU of the words as they are, and with single words weighed.

    sacrebleu counts; it smooths orders without a match (Chen and Cherry, 2014, method 3),
    and an answer of fewer than four words has fewer orders.
    """
    if not answer or not reference:
        return 0.0, 0.0
    # A word that holds blanks, a string mostly, must stay one word.
    ours, theirs = (
        [word.replace(" ", "␣").replace("\n", "⏎") for word in words]
        for words in (answer, reference)
    )
    score: Any = _scorer().sentence_score(" ".join(ours), [" ".join(theirs)])
    if not score.score:
        return 0.0, 0.0
    orders = [p / 100 for p, n in zip(score.precisions, score.totals, strict=True) if n]
    single = _weighted_precision(answer, reference)
    # sacrebleu's whole is a hair more than one.
    weighed = score.bp * _geometric_mean([single, *orders[1:]])
    return min(1.0, score.score / 100), min(1.0, weighed)


def _weighted_precision(answer: Sequence[str], reference: Sequence[str]) -> float:
    def weight(counts: Counter[str]) -> float:
        return sum(
            count * (1.0 if word in _KEYWORDS else _OTHER_WORDS_WEIGH)
            for word, count in counts.items()
        )

    return weight(Counter(answer) & Counter(reference)) / weight(Counter(answer))


def _geometric_mean(values: Sequence[float]) -> float:
    if min(values) <= 0:
        return 0.0
    return math.exp(sum(map(math.log, values)) / len(values))


@lru_cache(maxsize=1)
def _scorer() -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="none", effective_order=True)


def per_row(answers: Answers) -> list[float | None]:
    """CodeBLEU with the closest reference; 0 for an empty or unreadable answer."""
    return best_likeness(answers, likeness)


def score(answers: Answers) -> float:
    """Mean over rows: every row weighs the same, however long it is."""
    return mean(per_row(answers))


METRIC = Metric(
    score=score,
    unit="CodeBLEU",
    lowest=0.0,
    highest=1.0,
    per_row=per_row,
    needs=("references",),
)
