"""LoRA: a low-rank update beside frozen linear layers."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import fraction, whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Lora(LinearMethod):
    """Low-rank update beside frozen linear layers (Hu et al., 2021, arXiv:2106.09685).

    Computes ``W x + (alpha / rank) * B A dropout(x)`` with
    W: (d_out, d_in), frozen.  A: (rank, d_in), random.  B: (d_out, rank), zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    alpha: int = whole(16, peft="lora_alpha", hint="once or twice the rank is common")
    dropout: float = fraction(0.0, peft="lora_dropout")

    title = "LoRA"
    tuner = "LoraConfig"
    family = "reparameterised"
    paper = "Hu et al., 2021, arXiv:2106.09685"
    defaults_from = (
        "rank and alpha: Hu et al., RoBERTa large; all linear layers: Dettmers et al., 2023, "
        "arXiv:2305.14314, which finds them necessary to match full fine-tuning"
    )
    identity_at_start = True  # because B is zero
    mergeable = True
    budget_knob = "rank"
    #: Hu et al. on GPT-2 and GPT-3, and Dettmers et al. on Llama 7B and 13B.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * (layer.d_in + layer.d_out)


METHOD = Lora
