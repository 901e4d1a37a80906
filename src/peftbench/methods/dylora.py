"""DyLoRA: LoRA whose first directions are trained to stand alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import linear_layers, targeted, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Dylora(NativeMethod):
    """Dynamic low-rank adaptation (Valipour et al., 2022, arXiv:2210.07558).

    Computes ``W x + (alpha / b) * B[:, :b] A[:b] x`` with W: (d_out, d_in), frozen;
    A: (rank, d_in), random; B: (d_out, rank), zero. While training, every layer draws b from
    1 to rank anew in each pass, so that the directions are ordered by what they are worth
    and any number of the first can be kept; in evaluation b = rank.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = whole(8, hint="try 4 to 64")
    alpha: int = whole(16, hint="once or twice the rank is common")
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "DyLoRA"
    family = "reparameterised"
    placement = "linear layers of the blocks"
    paper = "Valipour et al., 2022, arXiv:2210.07558"
    defaults_from = "rank 8 and alpha 16: Valipour et al. on GLUE; the layers of `lora`"
    identity_at_start = True  # because B is zero
    mergeable = True
    budget_knob = "rank"
    #: Valipour et al. on GLUE: 4e-4.
    training = {"learning_rate": 4e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        layers = targeted(self.title, shapes, self.target_modules)
        return sum(self.rank * (layer.d_in + layer.d_out) for layer in layers)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.low_rank import NestedRanks
        from peftbench.methods._native.places import Places

        layers = Places.of(model).linears(self.target_modules)
        return {
            name: NestedRanks(layer, self.rank, self.alpha)
            for name, layer in layers.items()
        }


METHOD = Dylora
