"""KaSA: the weight loses its least singular directions, and trained ones take their place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._linear import NOT_LINEAR
from peftbench.methods._settings import positive
from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel


class KasaHook(Hook):
    """The two regularisers of the paper's equation 12."""

    def __init__(self, adapted: nn.Module) -> None:
        self.adapted: Any = adapted

    def penalty(self) -> torch.Tensor:
        return cast("torch.Tensor", self.adapted.base_model._get_kasa_loss())


@dataclass(frozen=True, kw_only=True)
class Kasa(Lora):
    """Knowledge-aware singular-value adaptation (Wang et al., 2024, arXiv:2412.06071).

    Computes ``W' x + (alpha / rank) * B diag(s) A x`` with W': (d_out, d_in), frozen, the
    weight without its `rank` smallest singular directions; A: (rank, d_in), random, B: (d_out,
    rank), zero, s: (rank,), random, all trained. The loss gains ``beta ||s||^2`` and
    ``gamma (||B^T B - I|| + ||A A^T - I||)`` of every layer. `detach` brings the base's weight
    back; loading an adapter takes the directions out again.
    Trains ``rank * (d_in + d_out + 1)`` parameters per layer, rank below the smallest width.
    """

    beta: float = positive(0.0001, hint="try 1e-4")
    gamma: float = positive(0.001, hint="try 1e-3")

    title = "KaSA"
    paper = "Wang et al., 2024, arXiv:2412.06071"
    defaults_from = "beta 1e-4, gamma 1e-3: Wang et al. and peft; the rest: those of `lora`"
    identity_at_start = False  # the weight loses directions
    mergeable = True
    unsupported = NOT_LINEAR
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.fitting_rank(shapes) * (layer.d_in + layer.d_out + 1)

    def check(self, shapes: Shapes) -> None:
        super().peft_fields(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        from peft.tuners.lora.config import KasaConfig

        rank, kasa = self.fitting_rank(shapes), KasaConfig(beta=self.beta, gamma=self.gamma)
        return super().peft_fields(shapes) | {"r": rank, "kasa_config": kasa}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at least one direction of every weight being left."""
        return min(self.rank, self.narrowest(shapes) - 1)

    def changed_weights(self, model: PreTrainedModel) -> Collection[str]:
        """Those of all targets."""
        return [f"{layer.name}.weight" for layer in self.layers(Shapes.of(model))]

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        """Where the weights have no numbers, none are to be taken out of them later."""
        adapted = super()._wrap(model, config)
        if model.device.type == "meta":
            for module in adapted.modules():
                vars(module).get("_lora_kasa_truncation_deferred", set()).clear()
        return adapted

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The penalty."""
        return KasaHook(adapted)


METHOD = Kasa
