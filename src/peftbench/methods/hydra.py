"""Hydra: low-rank branches beside and behind every linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import linear_layers, positive, targeted, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Hydra(NativeMethod):
    """Parallel and sequential branches (Kim et al., 2023, arXiv:2309.06922).

    Computes ``y + scale * (B A x + D C y)`` with y = W x + b, W: (d_out, d_in) and b frozen;
    A: (rank, d_in) and C: (rank, d_out), random; B and D: (d_out, rank), zero. The parallel
    branch learns new features from the input, the sequential one combines those that the
    base has. Folds into W and b.
    Trains ``rank * (d_in + 3 * d_out)`` parameters per layer.
    """

    rank: int = whole(8, hint="try 2 to 32")
    scale: float = positive(1.0)
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "Hydra"
    family = "reparameterised"
    placement = "linear layers of the blocks"
    paper = "Kim et al., 2023, arXiv:2309.06922"
    defaults_from = "ours: the rank and the layers of `lora`, scale 1"
    identity_at_start = True  # because B and D are zero
    mergeable = True
    budget_knob = "rank"
    #: Ours, that of `lora`.
    training = {"learning_rate": 2e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        layers = targeted(self.title, shapes, self.target_modules)
        return sum(self.rank * (layer.d_in + 3 * layer.d_out) for layer in layers)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.low_rank import ParallelAndSequential
        from peftbench.methods._native.places import Places

        layers = Places.of(model).linears(self.target_modules)
        return {
            name: ParallelAndSequential(layer, self.rank, self.scale)
            for name, layer in layers.items()
        }


METHOD = Hydra
