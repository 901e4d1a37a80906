"""RandLoRA: a full-rank update as a trained sum of random low-rank ones."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Randlora(LinearMethod):
    """Full rank from random bases (Albert et al., 2025, arXiv:2502.00987).

    Computes ``W x + alpha / rank * sum_j B_j diag(l_j) A_j diag(g_j) x`` with W: (d_out, d_in),
    frozen, and n = ceil(m / rank) pairs A_j, B_j of rank `rank`, frozen, random and shared by
    all layers, with m = min(d_in, d_out); l_j: (rank,), g_j: (m,). l starts at random or zero
    so that the update is zero.
    Trains ``n * (rank + m)`` parameters per layer. The bases are drawn anew from their seed
    when an adapter is loaded.
    """

    rank: int = whole(32, peft="r", hint="try 8 to 64; more is fewer parameters")
    alpha: int = whole(640, peft="randlora_alpha", hint="try 20 times the rank")

    title = "RandLoRA"
    tuner = "RandLoraConfig"
    fixed = {"save_projection": False}
    family = "reparameterised"
    paper = "Albert et al., 2025, arXiv:2502.00987"
    defaults_from = "peft: rank 32, alpha 640"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, randlora on Llama-3.2-3B; the scale
    #: alpha / rank of 20 makes up for it.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        directions = min(layer.d_in, layer.d_out)
        bases = -(-directions // self.rank)
        return bases * (self.rank + directions)


METHOD = Randlora
