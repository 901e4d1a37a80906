"""MiSS: one small matrix is shared by the shards of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Miss(LinearMethod):
    """Matrix shard sharing (Kang and Yin, 2024, arXiv:2409.15371).

    Computes ``W x + D^T (sum of the shards of x)`` with W: (d_out, d_in), frozen, x: (d_in,)
    folded into rank numbers by adding up its shards, and D: (rank, d_out), zero at the start:
    one factor in place of LoRA's two.
    Trains ``rank * d_out`` parameters per layer; rank at most the smallest input.
    """

    rank: int = whole(64, hint="try 16 to 128")

    title = "MiSS"
    tuner = "MissConfig"
    family = "reparameterised"
    paper = "Kang and Yin, 2024, arXiv:2409.15371"
    defaults_from = "peft: rank 64"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, miss on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.fitting_rank(shapes) * layer.d_out

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"r": self.fitting_rank(shapes)}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most the smallest input."""
        return min(self.rank, *(layer.d_in for layer in self.layers(shapes)))


METHOD = Miss
