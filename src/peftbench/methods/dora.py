"""DoRA: magnitude and direction of a weight are trained apart, the direction by LoRA."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Dora(Lora):
    """Weight-decomposed low-rank adaptation (Liu et al., 2024, arXiv:2402.09353).

    Computes ``m o V x / ||V||`` with ``V = W + (alpha / rank) * B A``, the norm ||V|| over the
    inputs of each output, taken as a constant by the gradient, and m: (d_out,), trained from
    ||W||; W: (d_out, d_in), frozen, A: (rank, d_in), random, B: (d_out, rank), zero.
    Trains ``rank * (d_in + d_out) + d_out`` parameters per layer.
    """

    title = "DoRA"
    fixed = {"use_dora": True}
    paper = "Liu et al., 2024, arXiv:2402.09353"
    defaults_from = (
        "those of `lora`; the paper's commonsense runs have rank 16 and 32, alpha twice "
        "that"
    )
    identity_at_start = True
    mergeable = True
    #: Liu et al., LLaMA-7B, commonsense reasoning.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return super().layer_parameters(layer, shapes) + layer.d_out


METHOD = Dora
