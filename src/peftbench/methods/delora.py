"""DeLoRA: low-rank updates whose strength and direction are trained apart."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Delora(LinearMethod):
    """Updates of bounded strength (Bini et al., 2025, arXiv:2503.18225).

    Computes ``W x + lambda / rank * ||W|| * B N A x`` with W: (d_out, d_in), frozen, ||W|| its
    column norms, A: (rank, d_in), B: (d_out, rank), N: (rank, rank), the diagonal matrix that
    normalises each rank-one part, and lambda, one trained number; the start is subtracted
    again.
    Trains ``rank * (d_in + d_out) + 1`` parameters per layer. Saved are the d_in norms too.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    strength: int = whole(15, peft="delora_lambda", hint="try 4 to 32")

    title = "DeLoRA"
    tuner = "DeloraConfig"
    family = "reparameterised"
    paper = "Bini et al., 2025, arXiv:2503.18225"
    defaults_from = "rank and lambda: peft"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: Bini et al., section 4: 1e-3 and above; peft's comparison trains lambda and factors at
    #: 1e-4.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * (layer.d_in + layer.d_out) + 1

    def stored_parameters(self, shapes: Shapes) -> int:
        return self.trainable_parameters(shapes) + sum(x.d_in for x in self.layers(shapes))


METHOD = Delora
