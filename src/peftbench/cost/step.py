"""What the meter runs: fixed inputs, one forward pass, one training step.

The same code runs on a real model and on one without weights, so that what is predicted
is predicted of the very step that is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from peftbench.encoding.batches import Batch
from peftbench.encoding.logits import output_layer
from peftbench.methods import Hook, Method, RunContext
from peftbench.spec import Training
from peftbench.training.seeds import trainable

#: The probe stands in the middle of a run of so many steps.
_STEPS = 1000


def tokens(vocabulary: int, batch: int, length: int, device: torch.device) -> torch.Tensor:
    """Fixed token ids of shape (batch, length); what they are does not matter to the cost."""
    if device.type == "meta":
        return torch.empty(batch, length, dtype=torch.int64, device=device)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (batch, length), generator=generator, device="cpu")
    return ids.to(device)


def training_batch(vocabulary: int, batch: int, length: int, device: torch.device) -> Batch:
    """Fixed token ids, of which all but the first, which all rows share, are answers."""
    ids = tokens(vocabulary, batch, length, device)
    ids[:, 0] = ids[0, 0]
    answers = torch.ones_like(ids, dtype=torch.bool)
    answers[:, -1] = False
    return Batch(ids, answers, ids[:, 1:].flatten())


def context(batch: Batch) -> RunContext:
    """A run far from its end, with steps too small to change what is measured."""
    return RunContext(_STEPS, Training(learning_rate=1e-9), lambda: iter([batch]))


@torch.no_grad()
def forward(adapted: nn.Module, inputs: torch.Tensor) -> None:
    """One forward pass in evaluation mode, without a cache."""
    adapted.eval()
    adapted(input_ids=inputs, use_cache=False)


@dataclass
class TrainingStep:
    """One optimiser step on `batch`, with all that the method does in it."""

    adapted: nn.Module
    batch: Batch
    hook: Hook
    optimizer: torch.optim.Optimizer
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
    answer_length: int | None = None  # the loss is on so many positions of each row
    number: int = 0
    before_optimizer: Callable[[], None] = lambda: None

    @classmethod
    def of(
        cls,
        method: Method,
        adapted: nn.Module,
        batch: Batch,
        now: RunContext,
        answer_length: int | None = None,
    ) -> TrainingStep:
        """The step of a method that was attached for `now`."""
        parameters = trainable(adapted)
        hook = method.hook(adapted, now) or Hook()
        optimizer = hook.optimizer(parameters, now.training)
        return cls(adapted, batch, hook, optimizer, parameters, answer_length)

    def __call__(self) -> None:
        """Forward, backward, penalty, optimiser."""
        self.adapted.train()
        self.hook.before_forward(self.batch)
        self._loss().backward()
        if (penalty := self.hook.penalty()) is not None:
            penalty.backward()
        self.before_optimizer()
        self.hook.before_step(self.number)
        self.optimizer.step()
        self.hook.after_step(self.number)
        for parameter in self.parameters.values():
            parameter.grad = None
        self.number += 1

    def _loss(self) -> torch.Tensor:
        ids, targets = self.batch.input_ids, self.batch.targets
        if self.answer_length is None:
            logits = self.adapted(input_ids=ids, use_cache=False).logits
            # A soft prompt's own positions stand before the input's.
            logits = logits[:, -ids.shape[1] : -1]
        else:
            wanted = min(self.answer_length, ids.shape[1] - 1)
            targets = ids[:, -wanted:].flatten()
            handle = output_layer(self.adapted).register_forward_pre_hook(
                lambda _module, hidden: (hidden[0][:, -wanted - 1 : -1],)
            )
            try:
                logits = self.adapted(input_ids=ids, use_cache=False).logits
            finally:
                handle.remove()
        return cross_entropy(logits.flatten(0, 1).float(), targets)


def state_tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Every tensor that the optimiser keeps from step to step, however it is nested."""
    found: list[torch.Tensor] = []

    def look(value: Any, depth: int) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                look(inner, depth)
        elif isinstance(value, list | tuple):
            for inner in value:
                look(inner, depth)
        elif depth and hasattr(value, "__dict__"):  # such as a projector of gradients
            look(vars(value), depth - 1)

    look(list(optimizer.state.values()), 1)
    return found
