"""MiCA: LoRA in the weight's minor directions, of which only the inputs are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Mica(Lora):
    """Minor component adaptation (MiCA, 2026, arXiv:2604.01694).

    Computes ``W x + (alpha / rank) * B A x`` with W: (d_out, d_in) and B: (d_out, rank) frozen,
    B the left singular vectors of W with the smallest singular values; A: (rank, d_in),
    trained, zero at the start.
    Trains ``rank * d_in`` parameters per layer, rank at most the smallest width. Saved is B
    too, ``rank * d_out`` numbers more.
    """

    title = "MiCA"
    fixed = {"init_lora_weights": "mica"}
    paper = "MiCA, 2026, arXiv:2604.01694"
    defaults_from = "those of `lora`"
    identity_at_start = True
    mergeable = True
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.fitting_rank(shapes) * layer.d_in

    def stored_parameters(self, shapes: Shapes) -> int:
        outputs = sum(
            self.fitting_rank(shapes) * layer.d_out for layer in self.layers(shapes)
        )
        return self.trainable_parameters(shapes) + outputs

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        rank = self.fitting_rank(shapes)
        return super().peft_fields(shapes) | {"r": rank}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most the smallest width."""
        return min(self.rank, self.narrowest(shapes))


METHOD = Mica
