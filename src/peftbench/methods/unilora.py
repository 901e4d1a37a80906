"""Uni-LoRA: all factors of all LoRA layers are drawn from one trained vector."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Unilora(LinearMethod):
    """One vector for all layers (Li et al., 2025, arXiv:2506.00799).

    Computes ``W x + B A x`` with W: (d_out, d_in), frozen, A: (rank, d_in), B: (d_out, rank).
    Every entry of every A and B is one of the numbers of theta: (length,), at a random place
    that is fixed by a seed, divided by the root of how many entries it fills: an isometric
    projection.
    Trains ``length`` parameters, however many layers there are.
    """

    length: int = whole(23040, peft="theta_d_length", hint="try 256 to 524288")
    rank: int = whole(4, peft="r", hint="try 4 to 8")

    title = "Uni-LoRA"
    tuner = "UniLoraConfig"
    family = "reparameterised"
    paper = "Li et al., 2025, arXiv:2506.00799"
    defaults_from = "rank 4: peft; length 23040: Li et al."
    identity_at_start = False  # both factors start at random
    mergeable = True
    budget_knob = "length"
    #: huggingface/peft, method_comparison/MetaMathQA, unilora on Llama-3.2-3B.
    training = {"learning_rate": 2e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return 0  # they are all shared

    def trainable_parameters(self, shapes: Shapes) -> int:
        self.layers(shapes)
        return self.length


METHOD = Unilora
