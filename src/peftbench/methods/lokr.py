"""LoKr: the update is a Kronecker product of a small matrix and a low-rank one."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, nearest_factors
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Lokr(LinearMethod):
    """Low-rank Kronecker products (Yeh et al., 2023, arXiv:2309.14859; KronA, arXiv:2212.10650).

    Computes ``W x + alpha / rank * (C kron (B A)) x`` with W: (d_out, d_in), frozen. Both
    widths are factorised as near to their square roots as can be, ``d_out = o1 o2`` and
    ``d_in = i1 i2`` with the smaller first; C: (o1, i1), B: (o2, rank), A: (rank, i2). Where
    rank is at least half of the larger of o2 and i2, B A is one matrix (o2, i2).
    Trains ``o1 i1 + rank (o2 + i2)``, or ``o1 i1 + o2 i2``, parameters per layer.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    alpha: int = whole(8, peft="alpha", hint="the rank, or less")

    title = "LoKr"
    tuner = "LoKrConfig"
    family = "reparameterised"
    paper = "Yeh et al., 2023, arXiv:2309.14859"
    defaults_from = "peft: rank 8, alpha 8"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, lokr on Llama-3.2-3B.
    training = {"learning_rate": 3e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        out_small, out_large = nearest_factors(layer.d_out)
        in_small, in_large = nearest_factors(layer.d_in)
        if self.rank < max(out_large, in_large) / 2:
            return out_small * in_small + self.rank * (out_large + in_large)
        return out_small * in_small + out_large * in_large


METHOD = Lokr
