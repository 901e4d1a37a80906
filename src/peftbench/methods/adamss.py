"""AdaMSS: a weight's principal space is cut into subspaces, each with a small update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Adamss(LinearMethod):
    """Adaptive multi-subspace adaptation (Zheng et al., 2025, NeurIPS).

    The rows of the leading `rank` singular directions of W: (d_out, d_in) are clustered into
    num_subspaces groups. Computes ``(W + [B_1 A_1; ...; B_K A_K] V) x`` with V: (rank, d_in),
    frozen, and for each group k of n_k rows B_k: (n_k, subspace_rank), A_k: (subspace_rank,
    rank); one of them starts at zero.
    Trains ``subspace_rank * (num_subspaces * rank + d_out)`` parameters per layer, rank at most
    the smallest width. Saved is V too, ``rank * d_in`` numbers (d_in + 1 where there is a
    bias).
    """

    rank: int = whole(100, hint="try 100 to 500")
    num_subspaces: int = whole(5, peft="num_subspaces", hint="try 5 to 10")
    subspace_rank: int = whole(1, peft="subspace_rank", hint="try 1 to 3")

    title = "AdaMSS"
    tuner = "AdamssConfig"
    family = "reparameterised"
    paper = "Zheng et al., 2025, NeurIPS"
    defaults_from = "peft: rank 100, 5 subspaces of rank 1, no adaptive choice among them"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, adamss on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        per_subspace = self.num_subspaces * min(self.rank, self.narrowest(shapes))
        return self.subspace_rank * (per_subspace + layer.d_out)

    def stored_parameters(self, shapes: Shapes) -> int:
        rank = min(self.rank, self.narrowest(shapes))
        bases = sum(rank * (layer.d_in + layer.has_bias) for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + bases

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"r": min(self.rank, self.narrowest(shapes))}


METHOD = Adamss
