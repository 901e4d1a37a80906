"""LoRA-FA: LoRA whose first factor stays as it was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peftbench.methods._hook import Hook, RunContext, WithOptimizer
from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.spec import Training


@dataclass(frozen=True, kw_only=True)
class LoraFa(Lora):
    """LoRA with a frozen A (Zhang et al., 2023, arXiv:2308.03303).

    Computes ``W x + (alpha / rank) * B A x`` with W: (d_out, d_in) and A: (rank, d_in), random,
    both frozen; B: (d_out, rank), zero, trained, so that no inputs need to be kept for A's
    gradient. AdamW takes ``(rank / alpha)^2 G_B (A A^T)^-1`` in place of the gradient G_B,
    which makes its step the nearest to full fine-tuning's.
    Trains ``rank * d_out`` parameters per layer. Saved is A too, ``rank * d_in`` numbers more.
    """

    title = "LoRA-FA"
    paper = "Zhang et al., 2023, arXiv:2308.03303"
    defaults_from = "those of `lora`"
    identity_at_start = True
    mergeable = True
    #: huggingface/peft, method_comparison/MetaMathQA, lora-fa on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * layer.d_out

    def stored_parameters(self, shapes: Shapes) -> int:
        inputs = sum(self.rank * layer.d_in for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + inputs

    def attach(self, model: PreTrainedModel) -> nn.Module:
        adapted = super().attach(model)
        for name, parameter in adapted.named_parameters():
            if ".lora_A." in name:
                parameter.requires_grad_(False)
        return adapted

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The optimiser."""

        def make(training: Training) -> torch.optim.Optimizer:
            from peft.optimizers import create_lorafa_optimizer

            optimizer = create_lorafa_optimizer(
                adapted,
                r=self.rank,
                lora_alpha=self.alpha,
                lr=training.learning_rate,
                weight_decay=training.weight_decay,
            )
            return cast("torch.optim.Optimizer", optimizer)

        return WithOptimizer(make)


METHOD = LoraFa
