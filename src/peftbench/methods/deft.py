"""DEFT (decompositional): a subspace is projected out and filled anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import one_of, whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Deft(LinearMethod):
    """Decompositional fine-tuning (the `deft` of huggingface/peft, 2026, after PaRa, Chen et
    al., 2024).

    Computes ``(I - P relu(P)^T) W x + P R x`` with W: (d_out, d_in), frozen, P: (d_out, rank),
    random, and R: (rank, d_in): what lies in P's directions is taken away, and R put in its
    place; R starts so that nothing changes. With decomposition "qr", P is made orthonormal and
    stands in relu's place. Not the density loss of the same name (arXiv:2402.01911).
    Trains ``rank * (d_in + d_out)`` parameters per layer, rank at most d_out.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    decomposition: Literal["relu", "qr"] = one_of(
        "relu", ("relu", "qr"), called="decompositions", peft="decomposition_method"
    )

    title = "DEFT"
    tuner = "DeftConfig"
    family = "reparameterised"
    paper = "DEFT of huggingface/peft, 2026"
    defaults_from = "peft: rank 8, projection by a rectified product"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, deft on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return min(self.rank, layer.d_out) * (layer.d_in + layer.d_out)


METHOD = Deft
