"""FacT: the updates of all layers are slices of one factorised tensor."""

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
class Fact(NativeMethod):
    """Factor tuning, tensor-train form (Jie and Deng, 2023, arXiv:2212.03145).

    Computes ``W x + scale * U^T C V x`` with W: (d_out, d_in), frozen; V: (rank, d_in),
    random, one for all layers with inputs of that width; U: (rank, d_out), zero, one for all
    layers with outputs of that width; C: (rank, rank), random, the layer's own.
    Trains ``rank * (sum of widths) + rank^2 * layers`` parameters: a rank more costs next to
    nothing per layer.

    The paper's transformer has one width and cuts the matrices of its feed-forward network
    into square ones; a factor for every width is the same for layers of any shape.
    """

    rank: int = whole(16, hint="try 8 to 64")
    scale: float = positive(1.0)
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "FacT"
    family = "reparameterised"
    placement = "linear layers of the blocks"
    paper = "Jie and Deng, 2023, arXiv:2212.03145"
    defaults_from = (
        "rank 16: Jie and Deng, the larger of FacT-TT on VTAB; scale, which they search from "
        "0.01 to 100: its middle"
    )
    identity_at_start = True  # because U is zero
    mergeable = True
    budget_knob = "rank"
    #: Jie and Deng, section 4: 1e-3.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``rank * width`` for every width in and out, and ``rank^2`` per target."""
        layers = targeted(self.title, shapes, self.target_modules)
        widths = sum({layer.d_in for layer in layers}) + sum({la.d_out for la in layers})
        return self.rank * widths + self.rank**2 * len(layers)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        import torch
        from torch import nn

        from peftbench.methods._native import linear
        from peftbench.methods._native.low_rank import Factor, SharedFactors, random_rows
        from peftbench.methods._native.places import Places

        left: dict[int, Factor] = {}
        right: dict[int, Factor] = {}
        parts: dict[str, Part] = {}
        for name, layer in Places.of(model).linears(self.target_modules).items():
            d_out, d_in = linear.size_of(layer)
            new = []
            if d_in not in right:
                right[d_in] = Factor(random_rows(self.rank, d_in))
                new.append(right[d_in])
            if d_out not in left:
                left[d_out] = Factor(nn.Parameter(torch.zeros(self.rank, d_out)))
                new.append(left[d_out])
            parts[name] = SharedFactors(
                self.rank, self.scale, left[d_out], right[d_in], new
            )
        return parts


METHOD = Fact
