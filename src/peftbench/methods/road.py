"""RoAd: pairs of outputs are rotated and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, largest_divisor
from peftbench.methods._settings import one_of, whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Road(LinearMethod):
    """Two-dimensional rotations (Liao and Monz, 2024, arXiv:2409.00119).

    Computes ``R (W x + b)`` with W: (d_out, d_in), frozen, and R: (d_out, d_out) made of
    rotations ``alpha [[cos t, -sin t], [sin t, cos t]]`` of pairs of outputs; t starts at zero,
    alpha at one. Variant 1 has one t and alpha per pair, variant 2 one per row, variant 4 one
    per entry.
    Trains ``variant * d_out`` parameters per layer. Pairs lie in groups of group_size outputs,
    or the next smaller size that divides all outputs.
    """

    variant: Literal[1, 2, 4] = one_of(1, (1, 2, 4), called="variants")
    group_size: int = whole(64, hint="try 32 or 64")

    title = "RoAd"
    tuner = "RoadConfig"
    family = "adapter"
    paper = "Liao and Monz, 2024, arXiv:2409.00119"
    defaults_from = "peft: variant 1, groups of 64"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, road on Llama-3.2-3B.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.variant * layer.d_out

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        size = largest_divisor(
            [layer.d_out for layer in self.layers(shapes)], self.group_size
        )
        return super().peft_fields(shapes) | {
            "variant": f"road_{self.variant}",
            "group_size": size,
        }


METHOD = Road
