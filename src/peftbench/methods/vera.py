"""VeRA: two frozen random matrices for all layers, and trained scales."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Vera(LinearMethod):
    """Vector-based random matrix adaptation (Kopiczko et al., 2023, arXiv:2310.11454).

    Computes ``W x + diag(b) B diag(d) A x`` with W: (d_out, d_in), A: (rank, widest d_in) and
    B: (widest d_out, rank) frozen, the last two random, shared by all layers and cut to size;
    d: (rank,) starts at 0.1, b: (d_out,) at zero.
    Trains ``rank + d_out`` parameters per layer. A and B are drawn anew from their seed when an
    adapter is loaded.
    """

    rank: int = whole(256, peft="r", hint="try 64 to 1024")

    title = "VeRA"
    tuner = "VeraConfig"
    fixed = {"save_projection": False}
    family = "reparameterised"
    paper = "Kopiczko et al., 2023, arXiv:2310.11454"
    defaults_from = "rank 256 and d = 0.1: Kopiczko et al., Llama 7B"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: Kopiczko et al., instruction tuning of Llama 7B.
    training = {"learning_rate": 4e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank + layer.d_out


METHOD = Vera
