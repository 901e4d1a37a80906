"""OLoRA: LoRA that starts from an orthonormal factor of the weight, taken out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._residual import ResidualLora

if TYPE_CHECKING:
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Olora(ResidualLora):
    """Orthonormal LoRA (Büyükakyüz, 2024, arXiv:2406.01775).

    Computes ``(W - s B0 A0) x + s B A x`` with s = alpha / rank; A: (rank, d_in) and B: (d_out,
    rank) start at A0 and B0, the first rows and columns of R and Q in ``W = Q R``, W: (d_out,
    d_in).
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved are start and end, a LoRA of
    twice the rank.
    """

    title: ClassVar[str] = "OLoRA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Büyükakyüz, 2024, arXiv:2406.01775"
    defaults_from: ClassVar[str] = "those of `lora`"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = {
        "gpt2": "peft's start does not transpose the weights of its Conv1D layers"
    }
    #: Büyükakyüz, section 4.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-4}

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `ResidualLora.settings`."""
        return super().settings(shapes) | {"init_lora_weights": "olora"}


METHOD = Olora
