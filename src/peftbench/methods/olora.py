"""OLoRA: LoRA that starts from an orthonormal factor of the weight, taken out of it."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._residual import ResidualLora


@dataclass(frozen=True, kw_only=True)
class Olora(ResidualLora):
    """Orthonormal LoRA (Büyükakyüz, 2024, arXiv:2406.01775).

    Computes ``(W - s B0 A0) x + s B A x`` with s = alpha / rank; A: (rank, d_in) and B: (d_out,
    rank) start at A0 and B0, the first rows and columns of R and Q in ``W = Q R``, W: (d_out,
    d_in).
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved are start and end, a LoRA of
    twice the rank.
    """

    title = "OLoRA"
    fixed = {"init_lora_weights": "olora"}
    paper = "Büyükakyüz, 2024, arXiv:2406.01775"
    defaults_from = "those of `lora`"
    identity_at_start = True
    mergeable = True
    unsupported = {
        "gpt2": "peft's start does not transpose the weights of its Conv1D layers"
    }
    #: Büyükakyüz, section 4.
    training = {"learning_rate": 3e-4}


METHOD = Olora
