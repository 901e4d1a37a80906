"""What a run scored on the validation part while it trained."""

from __future__ import annotations

from collections.abc import Sequence

from peftbench.spec.frozen import Amount, Count, Frozen


class Validation(Frozen):
    """One score on the validation part while training."""

    step: Count
    epoch: Amount | None
    """None where an import does not say."""
    train_loss: float
    """Mean loss per target token since the validation before; nats."""
    score: float
    """The task's validation metric, mostly its headline, on the validation part."""


def fell_behind(
    validations: Sequence[Validation], stop_below: Sequence[float | None], *, higher: bool
) -> int | None:
    """The number of validations after which the best score so far was worse than what
    `stop_below` asks there; None where it never was."""
    sign = 1 if higher else -1
    for number, bound in enumerate(stop_below[: len(validations)], start=1):
        best = max(sign * one.score for one in validations[:number])
        if bound is not None and best < sign * bound:
            return number
    return None
