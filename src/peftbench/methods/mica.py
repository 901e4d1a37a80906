"""MiCA: LoRA in the weight's minor directions, of which only the inputs are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Mica(Lora):
    """Minor component adaptation (MiCA, 2026, arXiv:2604.01694).

    Computes ``W x + (alpha / rank) * B A x`` with W: (d_out, d_in) and B: (d_out, rank) frozen,
    B the left singular vectors of W with the smallest singular values; A: (rank, d_in),
    trained, zero at the start.
    Trains ``rank * d_in`` parameters per layer, rank at most the smallest width. Saved is B
    too, ``rank * d_out`` numbers more.
    """

    title: ClassVar[str] = "MiCA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "MiCA, 2026, arXiv:2604.01694"
    defaults_from: ClassVar[str] = "those of `lora`"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: That of `lora`.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        return self.fitting_rank(shapes) * layer.d_in

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        outputs = sum(
            self.fitting_rank(shapes) * layer.d_out for layer in self.layers(shapes)
        )
        return self.trainable_parameters(shapes) + outputs

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `Lora.settings`."""
        rank = self.fitting_rank(shapes)
        return super().settings(shapes) | {"r": rank, "init_lora_weights": "mica"}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most the smallest width."""
        return min(self.rank, self.narrowest(shapes))


METHOD = Mica
