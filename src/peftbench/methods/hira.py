"""HiRA: the low-rank update multiplies the frozen weight entry by entry."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Hira(LinearMethod):
    """Hadamard high-rank adaptation (Huang et al., 2025, ICLR, openreview:TwJrTz9cRS).

    Computes ``(W + W o (B A)) x`` with W: (d_out, d_in), frozen, A: (rank, d_in), random, and
    B: (d_out, rank), zero. The product entry by entry with W lifts the rank of the update.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = whole(32, peft="r", hint="try 16 to 64")

    title = "HiRA"
    tuner = "HiraConfig"
    family = "reparameterised"
    paper = "Huang et al., 2025, ICLR, openreview:TwJrTz9cRS"
    defaults_from = "rank 32: Huang et al. and peft"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, hira on Llama-3.2-3B: the update is as
    #: small as the weight.
    training = {"learning_rate": 4.5e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * (layer.d_in + layer.d_out)


METHOD = Hira
