"""What a test set was scored: metrics with unit and direction, and what to hold them against."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import model_validator

from peftbench.spec.facts import Better
from peftbench.spec.frozen import Amount, Count, Frozen

#: Name of the split that a task is scored on; further tests and perturbed sets have their own.
TEST = "test"
#: So much may a metric's last steps add to its bound.
_ROUNDING = 1e-6


class Score(Frozen):
    """One metric over one test set. It says all that is needed to rank it."""

    test_set: str = TEST
    """"test" for the test split; a further test, such as "mismatched"; a perturbed set."""
    metric: str
    value: float
    standard_error: Amount | None
    """Over test examples, by the jackknife; None where it is not defined."""
    examples: Count | None
    """None where an import does not say."""
    unit: str
    better: Better
    lowest: float | None = None
    """No value lies below; None: there is no bound, or it is not known."""
    highest: float | None = None

    @model_validator(mode="after")
    def _lies_within_its_bounds(self) -> Self:
        lowest = -math.inf if self.lowest is None else self.lowest
        highest = math.inf if self.highest is None else self.highest
        if not lowest - _ROUNDING <= self.value <= highest + _ROUNDING:
            raise ValueError(
                f"{self.metric} lies between {lowest:g} and {highest:g}, got {self.value:g}"
            )
        return self


class Unavailable(Frozen):
    """A metric that was asked for and could not be computed. It is not 0, and no other
    metric takes its place."""

    test_set: str = TEST
    metric: str
    reason: str
    """What is missing, and what to do next."""
    is_headline: bool = False


class Baseline(Frozen):
    """What an answer that ignores the prompt scores on the headline metric."""

    name: Literal["majority class", "best label", "constant"]
    answer: str
    value: float


class Constant(Frozen):
    """The one answer that scores best when given to every row of a test set."""

    answer: str
    value: float


class PerturbedScores(Frozen):
    """Scores on perturbed rows beside the one on the run's own test split.

    Both are read in the labels that the set tells apart: answers and targets of the test
    split are merged as those of the set are.
    """

    scores: tuple[Score, ...]
    """On the perturbed rows; the task's headline metric first."""
    constant: Constant
    """On the perturbed rows."""
    clean: Score
    """The headline metric on the test split."""
    clean_constant: Constant
    """On the test split."""
