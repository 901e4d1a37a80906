"""GaLore: every weight is trained, with the optimiser's moments in a low-rank subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._settings import check_whole, positive
from peftbench.methods.full import Full

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

    rank: int = 128
    scale: float = 0.25
    update_every: int = 200

    paper: ClassVar[str] = "Zhao et al., 2024, arXiv:2403.03507"
    defaults_from: ClassVar[str] = (
        "scale 0.25 and 200 steps: Zhao et al.; rank 128: theirs for models up to 130M, and "
        "LLaMA-Factory's example"
    )
    #: Ours: times the scale, the 1e-5 of `full`.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-5}

    def __post_init__(self) -> None:
        check_whole("GaLore", "rank", self.rank, "try 128 to 1024")
        check_whole("GaLore", "update_every", self.update_every, "try 50 to 500")
        value = positive("GaLore", "scale", self.scale, "0.25 is the paper's")
        object.__setattr__(self, "scale", value)

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:  # noqa: ARG002
        """See `Method.hook`: the optimiser."""
        return GaloreHook(self, cast("PreTrainedModel", adapted))


class GaloreHook(Hook):
    """Chooses the weights whose gradients are projected."""

    def __init__(self, method: Galore, model: PreTrainedModel) -> None:
        from peftbench.models._shapes import Shapes

        self.method = method
        self.linears = frozenset(f"{x.name}.weight" for x in Shapes.of(model).linears)

    def optimizer(
        self, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> torch.optim.Optimizer:
        """See `Hook.optimizer`."""
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
