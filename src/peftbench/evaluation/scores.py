"""What a test set was scored: metrics with unit and direction, and what to hold them against."""

from __future__ import annotations

from typing import Literal

from peftbench.spec.frozen import Frozen


class Score(Frozen):
    """One metric over one set of examples."""

    name: str
    value: float
    standard_error: float | None
    """Over test examples, by the jackknife; None where it is not defined."""
    examples: int | None
    """None where an import does not say."""


class Unavailable(Frozen):
    """A metric that was asked for and could not be computed. It is not 0, and no other
    metric takes its place."""

    name: str
    reason: str
    """What is missing, and what to do next."""
    is_headline: bool = False


class Baseline(Frozen):
    """What an answer that ignores the prompt scores on the headline metric."""

    name: Literal["majority class", "best label", "constant"]
    answer: str
    value: float
