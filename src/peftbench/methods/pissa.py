"""PiSSA: LoRA on the weight's principal directions, which leave the frozen weight."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._residual import ResidualLora


@dataclass(frozen=True, kw_only=True)
class Pissa(ResidualLora):
    """Principal singular values and vectors (Meng et al., 2024, arXiv:2404.02948).

    Computes ``(W - s B0 A0) x + s B A x`` with s = alpha / rank; A: (rank, d_in) and B: (d_out,
    rank) start at A0 and B0, the leading singular directions of W: (d_out, d_in), whose
    singular values are shared between the two.
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved are start and end, a LoRA of
    twice the rank.
    """

    alpha: int = 8

    title = "PiSSA"
    fixed = {"init_lora_weights": "pissa"}
    paper = "Meng et al., 2024, arXiv:2404.02948"
    defaults_from = "rank: `lora`; alpha equals the rank: Meng et al."
    identity_at_start = True
    mergeable = True
    #: Meng et al., all models of 7B and more.
    training = {"learning_rate": 2e-5}


METHOD = Pissa
