"""Riemannian LoRA: LoRA whose gradients are preconditioned by its own factors."""

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
class RiemannianLora(Lora):
    """LoRA with a Riemannian preconditioner (Zhang and Pilanci, 2024, arXiv:2402.02347).

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does: W: (d_out, d_in), frozen, A:
    (rank, d_in), random, B: (d_out, rank), zero. Before each step of AdamW the gradients become
    ``(B^T B + d I)^-1 G_A`` and ``G_B (A A^T + d I)^-1`` with d = damping: steps no longer
    depend on how B A is split in two.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    damping: float = positive(0.01, hint="try 1e-2")

    title = "Riemannian LoRA"
    paper = "Zhang and Pilanci, 2024, arXiv:2402.02347"
    defaults_from = "damping: huggingface/peft; the rest: those of `lora`"
    identity_at_start = True
    mergeable = True
    #: huggingface/peft, method_comparison/MetaMathQA, lora-riemannian on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The optimiser."""

        def make(training: Training) -> torch.optim.Optimizer:
            import torch
            from peft.optimizers import create_riemannian_optimizer

            optimizer = create_riemannian_optimizer(
                adapted,
                torch.optim.AdamW,
                lr=training.learning_rate,
                reg=self.damping,
                weight_decay=training.weight_decay,
            )
            return cast("torch.optim.Optimizer", optimizer)

        return WithOptimizer(make)


METHOD = RiemannianLora
