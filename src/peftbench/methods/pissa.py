"""PiSSA: LoRA on the weight's principal directions, which leave the frozen weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._residual import ResidualLora

if TYPE_CHECKING:
    from peftbench.models._shapes import Shapes


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

    title: ClassVar[str] = "PiSSA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Meng et al., 2024, arXiv:2404.02948"
    defaults_from: ClassVar[str] = "rank: `lora`; alpha equals the rank: Meng et al."
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Meng et al., all models of 7B and more.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-5}

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `ResidualLora.settings`."""
        return super().settings(shapes) | {"init_lora_weights": "pissa"}


METHOD = Pissa
