"""What PEFT-Bench does with outputs that are no label (arXiv:2511.21285, its scorer)."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers


def replaced(answers: Answers) -> list[str]:
    """The predictions with every unreadable one made wrong on purpose.

    It becomes the first label, or the second where the first is not wrong: of two labels
    always the opposite of the gold one; of more, unreadable outputs are charged to the
    first two labels alone.
    """
    first, second = answers.labels[0], answers.labels[1]
    return [
        (first if target == second else second) if predicted is None else predicted
        for predicted, target in zip(answers.predicted, answers.targets, strict=True)
    ]


def f1_of(label: str, predicted: list[str], answers: Answers) -> float:
    """F1 of one label; 0 where it neither occurs nor is given."""
    pairs = list(zip(predicted, answers.targets, strict=True))
    hits = sum(given == gold == label for given, gold in pairs)
    total = sum((given == label) + (gold == label) for given, gold in pairs)
    return 2 * hits / total if total else 0.0
