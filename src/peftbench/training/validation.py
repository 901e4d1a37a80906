"""What a run scored on the validation part while it trained."""

from __future__ import annotations

from peftbench.spec.frozen import Frozen


class Validation(Frozen):
    """One score on the validation part while training."""

    step: int
    epoch: float | None
    """None where an import does not say."""
    train_loss: float
    """Mean loss per target token since the validation before; nats."""
    score: float
    """The task's validation metric, mostly its headline, on the validation part."""
