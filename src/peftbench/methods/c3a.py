"""C3A: the update is a block matrix of circular convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, largest_divisor
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class C3a(LinearMethod):
    """Circular convolution adapters (Chen et al., 2024, arXiv:2407.19342).

    Computes ``W x + C x`` with W: (d_out, d_in), frozen, and C: (d_out, d_in) made of
    ``d_out / b * d_in / b`` circulant blocks, each given by one vector of b = block_size
    numbers and applied by fast Fourier transforms; the vectors start at random (Xavier).
    Trains ``d_out * d_in / block_size`` parameters per layer. Where block_size does not divide
    all widths, the next smaller size that does.
    """

    block_size: int = whole(256, hint="try a divisor of the model's widths")

    title = "C3A"
    tuner = "C3AConfig"
    family = "reparameterised"
    paper = "Chen et al., 2024, arXiv:2407.19342"
    defaults_from = "peft: blocks of 256, Xavier initialisation"
    identity_at_start = False  # the vectors start at random
    mergeable = True
    budget_knob = "block_size"
    unsupported = NOT_LINEAR
    #: Chen et al., Llama; 0.3 in huggingface/peft, method_comparison/MetaMathQA.
    training = {"learning_rate": 0.1}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return layer.d_out * layer.d_in // self.fitting_size(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"block_size": self.fitting_size(shapes)}

    def fitting_size(self, shapes: Shapes) -> int:
        """The block size that divides all widths."""
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        return largest_divisor(widths, self.block_size)


METHOD = C3a
