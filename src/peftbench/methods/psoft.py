"""PSOFT: a weight is rotated inside its principal subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Psoft(LinearMethod):
    """Orthogonal tuning of the principal subspace (Wu et al., 2026, openreview:FSHrinMArK).

    Computes ``W x + alpha / rank * B (diag(b) R diag(a) - I) A x`` with W: (d_out, d_in), A:
    (rank, d_in) and B: (d_out, rank) frozen, the last two its leading singular directions; R:
    (rank, rank), orthogonal, by the Cayley transform; a, b: (rank,). R starts as the identity,
    a and b as one.
    Trains ``rank * (rank - 1) / 2 + 2 * rank`` parameters per layer, rank at most the smallest
    width.
    """

    rank: int = whole(32, hint="try 32 to 256")
    alpha: int = whole(32, peft="psoft_alpha", hint="the rank is common")

    title = "PSOFT"
    tuner = "PsoftConfig"
    family = "reparameterised"
    paper = "Wu et al., 2026, ICLR, openreview:FSHrinMArK"
    defaults_from = "peft: rank 32, alpha 32"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, psoft on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        rank = min(self.rank, self.narrowest(shapes))
        return rank * (rank - 1) // 2 + 2 * rank

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"r": min(self.rank, self.narrowest(shapes))}


METHOD = Psoft
