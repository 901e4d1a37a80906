"""DoRA: magnitude and direction of a weight are trained apart, the direction by LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Dora(Lora):
    """Weight-decomposed low-rank adaptation (Liu et al., 2024, arXiv:2402.09353).

    Computes ``m o V x / ||V||`` with ``V = W + (alpha / rank) * B A``, the norm ||V|| over the
    inputs of each output, taken as a constant by the gradient, and m: (d_out,), trained from
    ||W||; W: (d_out, d_in), frozen, A: (rank, d_in), random, B: (d_out, rank), zero.
    Trains ``rank * (d_in + d_out) + d_out`` parameters per layer.
    """

    title: ClassVar[str] = "DoRA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Liu et al., 2024, arXiv:2402.09353"
    defaults_from: ClassVar[str] = (
        "those of `lora`; the paper's commonsense runs have rank 16 and 32, alpha twice that"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Liu et al., LLaMA-7B, commonsense reasoning.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        return super().layer_parameters(layer, shapes) + layer.d_out

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `Lora.settings`."""
        return super().settings(shapes) | {"use_dora": True}


METHOD = Dora
