"""FRoD: scales and sparse rotations in a basis that layers share."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import fraction
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Frod(LinearMethod):
    """Full-rank updates in a shared basis (FRoD, 2026, AAAI, doi:10.1609/aaai.v40i31.39813).

    The weights of one kind (all q_proj, say) are decomposed together,
    ``W_k = U_k diag(l_k) V^T`` with one V: (d_in, d_in) for all. Computes
    ``U_k (diag(l_k) + S_k) V^T x`` with l_k: (d_in,) and the entries of the sparse S_k: (d_in,
    d_in) trained; S_k starts at zero. U and V are computed anew from the base when an adapter
    is loaded.
    Trains ``d_in + floor(sparse_rate * d_in^2)`` parameters per layer, one entry at least.
    """

    sparse_rate: float = fraction(0.01, peft="sparse_rate")

    title = "FRoD"
    tuner = "FrodConfig"
    fixed = {"save_projection": False, "progressbar": False}
    family = "reparameterised"
    paper = "FRoD, 2026, AAAI, doi:10.1609/aaai.v40i31.39813"
    defaults_from = "peft: 1 % of the entries off the diagonal"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    #: huggingface/peft, method_comparison/MetaMathQA, frod on Llama-3.2-3B.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return layer.d_in + max(1, int(layer.d_in * layer.d_in * self.sparse_rate))


METHOD = Frod
