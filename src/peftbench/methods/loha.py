"""LoHa: the update is the product, entry by entry, of two low-rank matrices."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Loha(LinearMethod):
    """Low-rank Hadamard products (Hyeon-Woo et al., 2021, arXiv:2108.06098).

    Computes ``W x + alpha / rank * (B1 A1) o (B2 A2) x`` with W: (d_out, d_in), frozen, A:
    (rank, d_in) and B: (d_out, rank), all random but one, which is zero. The rank of the update
    is up to rank^2.
    Trains ``2 * rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    alpha: int = whole(8, peft="alpha", hint="the rank, or less")

    title = "LoHa"
    tuner = "LoHaConfig"
    family = "reparameterised"
    paper = "Hyeon-Woo et al., 2021, arXiv:2108.06098"
    defaults_from = "peft: rank 8, alpha 8"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, loha on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return 2 * self.rank * (layer.d_in + layer.d_out)


METHOD = Loha
