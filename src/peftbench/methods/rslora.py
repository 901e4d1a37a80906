"""rsLoRA: LoRA whose scale falls with the root of the rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Rslora(Lora):
    """Rank-stabilised LoRA (Kalajdzievski, 2023, arXiv:2312.03732).

    Computes ``W x + alpha / sqrt(rank) * B A x`` with W: (d_out, d_in), frozen, A: (rank,
    d_in), random, B: (d_out, rank), zero. With LoRA's alpha / rank, a larger rank learns more
    slowly.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    title: ClassVar[str] = "rsLoRA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Kalajdzievski, 2023, arXiv:2312.03732"
    defaults_from: ClassVar[str] = "those of `lora`; the paper raises the rank up to 2048"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Ours: half of `lora`'s, whose scale is the smaller one at any rank above 1.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `Lora.settings`."""
        return super().settings(shapes) | {"use_rslora": True}


METHOD = Rslora
