"""The chance that one of k sampled programs is right (Chen et al., 2021, arXiv:2107.03374)."""

from __future__ import annotations

from math import comb

from peftbench.evaluation.metrics._metric import Answers, Metric


def pass_at(k: int, samples: int, passed: int) -> float:
    """``1 - C(n - c, k) / C(n, k)`` for c right ones of n samples, n >= k: the unbiased
    estimate of the paper's equation 1.

    >>> pass_at(1, 4, 1), pass_at(2, 4, 1), pass_at(2, 4, 3), pass_at(2, 4, 0)
    (0.25, 0.5, 1.0, 0.0)
    """
    if samples < k:
        raise ValueError(f"pass@{k} needs {k} samples or more, not {samples}.")
    return 1 - comb(samples - passed, k) / comb(samples, k)


def metric_for(k: int) -> Metric:
    """The metric pass@k over sampled programs, of which there must be k to a prompt."""

    def per_row(answers: Answers) -> list[float]:
        return [
            pass_at(k, len(verdicts), verdicts.count("passed"))
            for verdicts in answers.sampled_verdicts
        ]

    def score(answers: Answers) -> float:
        rows = per_row(answers)
        return sum(rows) / len(rows)

    return Metric(
        score=score,
        unit="fraction of problems solved",
        lowest=0.0,
        highest=1.0,
        per_row=per_row,
        needs=("sampled_verdicts",),
        samples=k,
    )
