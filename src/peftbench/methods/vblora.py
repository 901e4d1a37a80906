"""VB-LoRA: LoRA's factors are mixtures of vectors from one shared bank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import LinearMethod, largest_divisor
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Vblora(LinearMethod):
    """A vector bank for all layers (Li et al., 2024, arXiv:2405.15179).

    Computes ``W x + B A x`` with W: (d_out, d_in), frozen, A: (rank, d_in) and B: (d_out, rank)
    cut into pieces of length b. Each piece is a mixture of the two vectors of the bank:
    (num_vectors, b) that its logits: (num_vectors,) choose, by their softmax.
    Trains ``num_vectors * b`` for the bank and ``rank * num_vectors * (d_in + d_out) / b`` per
    layer, where b is vector_length or the next smaller length that divides all widths.
    """

    rank: int = whole(4, peft="r", hint="try 4 to 8")
    num_vectors: int = whole(256, peft="num_vectors", hint="try 30 to 2048")
    vector_length: int = whole(256, hint="try 64 to 256")

    title = "VB-LoRA"
    tuner = "VBLoRAConfig"
    family = "reparameterised"
    paper = "Li et al., 2024, arXiv:2405.15179"
    defaults_from = "peft: rank 4, 256 vectors of 256, top 2; uniform bank"
    identity_at_start = False  # the bank starts at random
    mergeable = True
    zeros_will_do = True
    budget_knob = "rank"
    #: Li et al.: 1e-3 for the bank; their 1e-2 for the logits is not kept apart here.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        pieces = (layer.d_in + layer.d_out) // self.length(shapes)
        return self.rank * self.num_vectors * pieces

    def trainable_parameters(self, shapes: Shapes) -> int:
        return super().trainable_parameters(shapes) + self.num_vectors * self.length(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"vector_length": self.length(shapes)}

    def length(self, shapes: Shapes) -> int:
        """The length of a vector, dividing all widths."""
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        return largest_divisor(widths, self.vector_length)


METHOD = Vblora
