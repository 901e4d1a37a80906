"""Orthogonal LoRA: both factors start at random, and their product at zero."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.errors import InvalidSpec
from peftbench.methods.lora import Lora


@dataclass(frozen=True, kw_only=True)
class OrthogonalLora(Lora):
    """LoRA from orthogonal factors (Datta, 2024, "Rethinking LoRA initialisation").

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does, with W: (d_out, d_in), frozen; A:
    (rank, d_in) and B: (d_out, rank) start as random matrices times the odd and the even rows
    of one random orthogonal (rank, rank) matrix, so that ``B A = 0`` and both have a gradient
    from the first step on. rank is even.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    title = "LoRA with orthogonal initialisation"
    fixed = {"init_lora_weights": "orthogonal"}
    paper = "Datta, 2024, datta0.github.io/posts/rethink-lora-init"
    defaults_from = "those of `lora`"
    identity_at_start = True
    mergeable = True
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank % 2:
            raise InvalidSpec(
                f"{self.title} splits the rank in two halves, so it must be even, got "
                f"{self.rank}; try {self.rank + 1}."
            )


METHOD = OrthogonalLora
