"""rsLoRA: LoRA whose scale falls with the root of the rank."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods.lora import Lora


@dataclass(frozen=True, kw_only=True)
class Rslora(Lora):
    """Rank-stabilised LoRA (Kalajdzievski, 2023, arXiv:2312.03732).

    Computes ``W x + alpha / sqrt(rank) * B A x`` with W: (d_out, d_in), frozen, A: (rank,
    d_in), random, B: (d_out, rank), zero. With LoRA's alpha / rank, a larger rank learns more
    slowly.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    title = "rsLoRA"
    fixed = {"use_rslora": True}
    paper = "Kalajdzievski, 2023, arXiv:2312.03732"
    defaults_from = "those of `lora`; the paper raises the rank up to 2048"
    identity_at_start = True
    mergeable = True
    #: Ours: half of `lora`'s, whose scale is the smaller one at any rank above 1.
    training = {"learning_rate": 1e-4}


METHOD = Rslora
