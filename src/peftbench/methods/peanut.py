"""PEANuT: a small network computes the update from the frozen weight."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import positive, whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Peanut(LinearMethod):
    """Weight-aware neural tweakers (Zhong et al., 2024, arXiv:2410.01870).

    Computes ``(W + scaling * B f(A W)) x``: a network reads the frozen W: (d_out, d_in) column
    by column, A: (rank, d_out), random, f a rectifier with `depth` pairs of hidden layers
    (rank, rank), B: (d_out, rank), zero.
    Trains ``2 * rank * d_out + 2 * depth * rank^2`` parameters per layer.
    """

    rank: int = whole(32, peft="r", hint="try 8 to 64")
    depth: int = whole(0, at_least=0, peft="depth", hint="0 means no hidden layers")
    scaling: float = positive(2.0, peft="scaling", hint="try 1 to 32")

    title = "PEANuT"
    tuner = "PeanutConfig"
    family = "reparameterised"
    paper = "Zhong et al., 2024, arXiv:2410.01870"
    defaults_from = (
        "rank 32, depth 0: peft; scaling 2: huggingface/peft, method_comparison/MetaMathQA"
    )
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, peanut on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return 2 * self.rank * layer.d_out + 2 * self.depth * self.rank**2


METHOD = Peanut
