"""LoRA+: LoRA whose second factor learns faster than its first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peftbench.methods._hook import Hook, RunContext, WithOptimizer
from peftbench.methods._settings import positive
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    import torch
    from torch import nn

    from peftbench.spec import Training


@dataclass(frozen=True, kw_only=True)
class LoraPlus(Lora):
    """LoRA with two learning rates (Hayou et al., 2024, arXiv:2402.12354).

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does: W: (d_out, d_in), frozen, A:
    (rank, d_in), random, B: (d_out, rank), zero. AdamW steps of B are learning_rate_ratio times
    as large as those of A, whose rate is the one that `training` states.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    learning_rate_ratio: float = positive(16.0, hint="try 4 to 16")

    title = "LoRA+"
    paper = "Hayou et al., 2024, arXiv:2402.12354"
    defaults_from = "ratio 16: Hayou et al.; the rest: those of `lora`"
    identity_at_start = True
    mergeable = True
    #: Half of `lora`'s, as huggingface/peft's guide advises; B learns at 16 times that.
    training = {"learning_rate": 1e-4}

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The optimiser."""

        def make(training: Training) -> torch.optim.Optimizer:
            import torch
            from peft.optimizers import create_loraplus_optimizer

            optimizer = create_loraplus_optimizer(
                adapted,
                torch.optim.AdamW,
                lr=training.learning_rate,
                loraplus_lr_ratio=self.learning_rate_ratio,
                loraplus_weight_decay=training.weight_decay,
            )
            return cast("torch.optim.Optimizer", optimizer)

        return WithOptimizer(make)


METHOD = LoraPlus
