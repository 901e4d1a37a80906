"""TinyLoRA: a handful of trained numbers per layer, in the weight's own directions."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Tinylora(LinearMethod):
    """A few numbers per layer (TinyLoRA, 2026, arXiv:2602.04118).

    Computes ``W x + B (sum_i v_i P_i) A x`` with W: (d_out, d_in), A: (rank, d_in) and B:
    (d_out, rank) frozen, the last two its leading singular directions, P_i: (rank, rank),
    frozen and random, and v: (num_numbers,), trained, zero at the start.
    Trains ``num_numbers`` parameters per layer. P is drawn anew from its seed when an adapter
    is loaded; A and B are saved with it, ``rank * (d_in + d_out)`` numbers per layer.
    """

    num_numbers: int = whole(64, peft="u", hint="try 13 to 512")
    rank: int = whole(2, peft="r", hint="try 1 to 4")

    title = "TinyLoRA"
    tuner = "TinyLoraConfig"
    fixed = {"save_projection": False}
    family = "reparameterised"
    paper = "TinyLoRA, 2026, arXiv:2602.04118"
    defaults_from = "peft: rank 2, 64 numbers, no sharing between layers"
    identity_at_start = True
    mergeable = True
    budget_knob = "num_numbers"
    #: Ours: few numbers want larger steps than LoRA's; peft's comparison uses 1e-4.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.num_numbers

    def stored_parameters(self, shapes: Shapes) -> int:
        bases = sum(self.rank * (layer.d_in + layer.d_out) for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + bases


METHOD = Tinylora
