"""What the meter runs: fixed inputs, one forward pass, the loop's training step.

The same code runs on a real model and on one without weights, so that what is predicted
is predicted of the very step that is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from peftbench.encoding.batches import Batch
from peftbench.methods import Method, RunContext
from peftbench.spec import Training
from peftbench.spec.benchmark import Precision
from peftbench.training.step import TrainingStep

#: The probe stands in the middle of a run of so many steps.
_STEPS = 1000


def tokens(vocabulary: int, batch: int, length: int, device: torch.device) -> torch.Tensor:
    """Fixed token ids of shape (batch, length); what they are does not matter to the cost."""
    if device.type == "meta":
        return torch.empty(batch, length, dtype=torch.int64, device=device)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (batch, length), generator=generator, device="cpu")
    return ids.to(device)


def training_batch(
    vocabulary: int,
    batch: int,
    length: int,
    device: torch.device,
    answer_length: int | None = None,
) -> Batch:
    """Fixed token ids; the answers are the last `answer_length` of each row, or all."""
    ids = tokens(vocabulary, batch, length, device)
    ids[:, 0] = ids[0, 0].clone()  # the one token that is prompt alone: all rows share it
    # Where they are is known without data too: how many decides the shape of the logits.
    answers = torch.zeros(batch, length, dtype=torch.bool, device="cpu")
    answers[:, -(answer_length or length) :] = True
    if device.type != "meta":
        answers = answers.to(device)
    return Batch(ids, answers, ids.roll(-1, dims=1)[answers])


def context(batch: Batch, precision: Precision = "float32") -> RunContext:
    """A run far from its end, with steps too small to change what is measured."""
    training = Training(learning_rate=1e-9, precision=precision)
    return RunContext(_STEPS, training, lambda: iter([batch]))


@torch.no_grad()
def forward(adapted: nn.Module, inputs: torch.Tensor) -> None:
    """One forward pass in evaluation mode, without a cache."""
    adapted.eval()
    adapted(input_ids=inputs, use_cache=False)


@dataclass
class RepeatedStep:
    """The training step, again and again on one batch."""

    step: TrainingStep
    batch: Batch
    number: int = 0

    @classmethod
    def of(cls, method: Method, adapted: nn.Module, batch: Batch, now: RunContext) -> Self:
        """The step of a method that was attached for `now`."""
        return cls(TrainingStep(adapted, now.training, method.hook(adapted, now)), batch)

    def __call__(self, before_optimizer: Callable[[], None] = lambda: None) -> None:
        """Take it once more."""
        self.step.take(
            self.number,
            lambda: self.step.gradients([self.batch]),
            check=lambda _loss, _norm: before_optimizer(),
        )
        self.number += 1
