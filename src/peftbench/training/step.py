"""The one training step: the loop takes it again and again, and the meter measures it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from peftbench.encoding.batches import Batch
from peftbench.encoding.logits import answer_logits
from peftbench.methods import Hook
from peftbench.spec import Training
from peftbench.training.seeds import trainable

Loss = TypeVar("Loss")


def _any(_loss: object, _norm: torch.Tensor) -> None:
    """Whatever loss and norm are."""


class TrainingStep:
    """What is done to a model and its optimiser in one step. It reads no number itself, so
    that a model without data can take it too."""

    def __init__(
        self, model: nn.Module, training: Training, hook: Hook | None = None
    ) -> None:
        self.model = model
        self.training = training
        self.hook = hook or Hook()
        self.parameters = trainable(model)
        self.optimizer = self.hook.optimizer(self.parameters, training)
        self.peak_rates = [group["lr"] for group in self.optimizer.param_groups]

    def take(
        self,
        number: int,
        gradients: Callable[[], Loss],
        *,
        rate_factor: float = 1.0,
        check: Callable[[Loss, torch.Tensor], None] = _any,
    ) -> Loss:
        """Step `number` (from 0), at a share of the peak learning rate. `gradients` calls
        the method of this name; `check` sees what it returned and the norm of all gradients
        before anything moves, and may raise."""
        for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * rate_factor
        self.model.train()
        loss = gradients()
        limit = self.training.max_grad_norm or math.inf
        check(loss, nn.utils.clip_grad_norm_(self.parameters.values(), limit))
        self.hook.before_step(number)
        self.optimizer.step()
        self.hook.after_step(number)
        self.clear_gradients()
        return loss

    def gradients(self, batches: Sequence[Batch]) -> list[torch.Tensor]:
        """Add the gradients of the mean loss per target token over all `batches` and of the
        method's penalty; returns what each batch adds to that loss, in nats, without the
        penalty. How rows are cut into batches changes nothing."""
        tokens = sum(len(batch.targets) for batch in batches)
        losses = []
        for batch in batches:
            self.hook.before_forward(batch)
            loss = self._loss(batch) / tokens
            loss.backward()
            losses.append(loss.detach())
        if (penalty := self.hook.penalty()) is not None:
            penalty.backward()
        return losses

    def clear_gradients(self) -> None:
        """Of all that is trained, also of what an optimiser of the method's own leaves out."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def _loss(self, batch: Batch) -> torch.Tensor:
        """Summed over the target tokens."""
        device = batch.input_ids.device.type
        # A model without data has no autocast; `cost/without_data.py` heeds that of the CPU.
        where = "cpu" if device == "meta" else device
        enabled = self.training.precision == "bfloat16"
        with torch.autocast(where, torch.bfloat16, enabled=enabled):
            logits = answer_logits(self.model, batch.input_ids, batch.answers)
        return cross_entropy(logits.float(), batch.targets, reduction="sum")
