"""Orthogonal LoRA: both factors start at random, and their product at zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class OrthogonalLora(Lora):
    """LoRA from orthogonal factors (Datta, 2024, "Rethinking LoRA initialisation").

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does, with W: (d_out, d_in), frozen; A:
    (rank, d_in) and B: (d_out, rank) start as random matrices times the odd and the even rows
    of one random orthogonal (rank, rank) matrix, so that ``B A = 0`` and both have a gradient
    from the first step on. rank is even.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    title: ClassVar[str] = "LoRA with orthogonal initialisation"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Datta, 2024, datta0.github.io/posts/rethink-lora-init"
    defaults_from: ClassVar[str] = "those of `lora`"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: That of `lora`.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `Lora.settings`."""
        return super().settings(shapes) | {"init_lora_weights": "orthogonal"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank % 2:
            raise InvalidSpec(
                f"{self.title} splits the rank in two halves, so it must be even, got "
                f"{self.rank}; try {self.rank + 1}."
            )


METHOD = OrthogonalLora
