"""Riemannian LoRA: LoRA whose gradients are preconditioned by its own factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from peftbench.methods._hook import Hook, RunContext, WithOptimizer
from peftbench.methods._method import Family
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

    damping: float = 0.01

    title: ClassVar[str] = "Riemannian LoRA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Zhang and Pilanci, 2024, arXiv:2402.02347"
    defaults_from: ClassVar[str] = "damping: huggingface/peft; the rest: those of `lora`"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, lora-riemannian on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        value = positive(self.title, "damping", self.damping, "try 1e-2")
        object.__setattr__(self, "damping", value)

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:  # noqa: ARG002
        """See `Method.hook`: the optimiser."""

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
