"""How thresholds are learned: dense first, then selecting, then held still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from peftbench.methods._calibrate import is_text, loss
from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._native.token_selective import Selection, Thresholds, TokenSelective

if TYPE_CHECKING:
    from peftbench.encoding.batches import Batch
    from peftbench.spec import Training

#: Share of the steps at the end in which tau stays: what is evaluated is then the gate that
#: the weights were trained with.
_STILL = 0.1
_BETAS = (0.9, 0.98)
#: Batches over which the shares of selected tokens are counted after training.
_COUNTED = 8


@dataclass(frozen=True)
class Pressure:
    """How thresholds are learned."""

    penalty: float  # lambda, as a share of the task's loss before training
    learning_rate: float  # of tau
    dense_fraction: float  # of the steps, before tau moves


class TokenSelectionHook(Hook):
    """Learns tau beside the weights of the branches.

    ``J = L + lambda * (mean over modules of the share of tokens selected)``. The gradient of
    tau does not take part in clipping: it is a surrogate, of another scale than the weights'.
    """

    def __init__(
        self,
        selection: Selection,
        thresholds: Thresholds,
        pressure: Pressure,
        *,
        steps: int,
        initial_loss: float,
    ) -> None:
        self.selection, self.thresholds = selection, thresholds
        self.pressure = pressure
        self.first = round(pressure.dense_fraction * steps)
        self.end = steps - round(_STILL * steps)
        self.initial_loss = torch.tensor(initial_loss)
        self.gradient: torch.Tensor | None = None
        self.parameters: list[nn.Parameter] = []
        self._begin(0)

    def optimizer(
        self, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> torch.optim.Optimizer:
        """AdamW, with tau in a group of its own: no decay, its own learning rate."""
        tau = self.thresholds.values
        self.parameters = [p for p in parameters.values() if p is not tau]
        thresholds: dict[str, Any] = {
            "params": [tau],
            "lr": self.pressure.learning_rate,
            "betas": _BETAS,
            "weight_decay": 0.0,
        }
        return torch.optim.AdamW(
            [{"params": self.parameters}, thresholds],
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
        )

    def before_forward(self, batch: Batch) -> None:
        """Say where padding is. A step that starts over, for memory, counts anew."""
        if all(parameter.grad is None for parameter in self.parameters):
            self.selection.reset()
        self.selection.is_token = is_text(batch)

    def penalty(self) -> None:
        """Take the gradient of tau aside, with lambda's part in it, before clipping."""
        tau = self.thresholds.values
        if not self.selection.learning:
            return
        windows = torch.stack(self.selection.windows)
        tokens = torch.stack(self.selection.tokens).clamp(min=1)
        weight = self.pressure.penalty * float(self.initial_loss) / len(windows)
        task = torch.zeros_like(tau) if tau.grad is None else tau.grad
        self.gradient = task - weight * windows / tokens
        tau.grad = None

    def before_step(self, step: int) -> None:
        """Give tau its gradient back; while it stands still it has none."""
        self.thresholds.values.grad, self.gradient = self.gradient, None

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """No threshold is below zero: every update has at least that size."""
        self.thresholds.values.clamp_(min=0)
        self._begin(step + 1)

    def state(self) -> dict[str, torch.Tensor]:
        """The next step, and the loss that lambda is measured by."""
        return {"step": torch.tensor(self.step), "initial_loss": self.initial_loss}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.initial_loss = state["initial_loss"]
        self._begin(int(state["step"]))

    def _begin(self, step: int) -> None:
        self.step = step
        self.selection.learning = self.first <= step < self.end


def hook_of(
    adapted: nn.Module, context: RunContext, pressure: Pressure
) -> TokenSelectionHook:
    """The hook of a model that has not been trained yet."""
    selection, thresholds = selection_of(adapted)
    return TokenSelectionHook(
        selection,
        thresholds,
        pressure,
        steps=context.steps,
        initial_loss=_initial_loss(adapted, context),
    )


def selection_of(adapted: nn.Module) -> tuple[Selection, Thresholds]:
    """Of the one token-selective adapter of a model."""
    part = next(m for m in adapted.modules() if isinstance(m, TokenSelective))
    return part.selection, part.thresholds()


@torch.no_grad()
def selected_shares(adapted: nn.Module, context: RunContext) -> dict[str, float]:
    """Share of tokens of the first training batches that each module selects."""
    selection, _ = selection_of(adapted)
    was_training = adapted.training
    adapted.eval()
    selection.reset()
    selection.counting = True
    for batch in islice(context.batches(), _COUNTED):
        selection.is_token = is_text(batch)
        adapted(input_ids=batch.input_ids, use_cache=False)
    selection.counting, selection.is_token = False, None
    adapted.train(was_training)
    return selection.shares()


@torch.no_grad()
def _initial_loss(adapted: nn.Module, context: RunContext) -> float:
    """Of the first batch, in evaluation mode."""
    was_training = adapted.training
    found = float(loss(adapted.eval(), next(context.batches())))
    adapted.train(was_training)
    return found
