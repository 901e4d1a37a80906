"""What a metric is: a pure function from answers and targets to one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The parsed answers to a test set, row by row, beside their targets.

    `predicted` holds None where the output could not be read as an answer.
    `labels` is the task's closed label set, or () where answers are free.
    """

    predicted: Sequence[str | None]
    targets: Sequence[str]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.predicted) != len(self.targets):
            raise ValueError(
                f"{len(self.predicted)} answers for {len(self.targets)} targets."
            )
        if not self.targets:
            raise ValueError("A score over no examples is undefined.")

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score over a test set. One file in `metrics/` ends with `METRIC = Metric(...)`.

    `score` is defined for every non-empty set of answers, also constant or unreadable
    ones, does not depend on the order of rows, and moves by O(1/n) with one row.
    """

    score: Callable[[Answers], float]
    unit: str  # "fraction correct", "correlation"
    better: Literal["higher", "lower"] = "higher"
    chance_is_zero: bool = False  # a constant answer scores 0 (correlations)
    #: Score of each row alone where the score is their mean; otherwise None.
    per_row: Callable[[Answers], list[float]] | None = None
