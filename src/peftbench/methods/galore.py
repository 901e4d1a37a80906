"""GaLore: every weight is trained, with the optimiser's moments in a low-rank subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._settings import positive, whole
from peftbench.methods.full import Full
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.spec import Training


@dataclass(frozen=True, kw_only=True)
class Galore(Full):
    """Full fine-tuning with low-rank gradients (Zhao et al., 2024, arXiv:2403.03507).

    Every weight W: (m, n) of a linear layer takes AdamW's step in a subspace of its gradient:
    with P: (m, rank), the leading left singular vectors of G where m < n (else the right ones),
    ``W -= lr * scale * P adam(P^T G)``. P is taken anew every update_every steps. All other
    weights take AdamW's ordinary steps. Saves memory for moments, not for weights or gradients.
    Trains all ``shapes.parameters``, as `full` does, and saves them all.
    """

    rank: int = whole(128, hint="try 128 to 1024")
    scale: float = positive(0.25, hint="0.25 is the paper's")
    update_every: int = whole(200, hint="try 50 to 500")

    title = "GaLore"
    paper = "Zhao et al., 2024, arXiv:2403.03507"
    defaults_from = (
        "scale 0.25 and 200 steps: Zhao et al.; rank 128: theirs for models up to 130M, and "
        "LLaMA-Factory's example"
    )
    #: Ours: times the scale, the 1e-5 of `full`.
    training = {"learning_rate": 4e-5}

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The optimiser."""
        return GaloreHook(self, cast("PreTrainedModel", adapted))


class GaloreHook(Hook):
    """Chooses the weights whose gradients are projected."""

    def __init__(self, method: Galore, model: PreTrainedModel) -> None:
        self.method = method
        self.linears = frozenset(f"{x.name}.weight" for x in Shapes.of(model).linears)

    def optimizer(
        self, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> torch.optim.Optimizer:
        from peftbench.methods._galore import GaloreAdamW

        return GaloreAdamW(
            parameters,
            self.linears,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            rank=self.method.rank,
            scale=self.method.scale,
            update_every=self.method.update_every,
        )


METHOD = Galore
