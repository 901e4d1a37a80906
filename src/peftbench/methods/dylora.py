"""DyLoRA: LoRA whose first directions are trained to stand alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import ALL_LINEAR, check_whole, targeted, targets

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Dylora(NativeMethod):
    """Dynamic low-rank adaptation (Valipour et al., 2022, arXiv:2210.07558).

    Computes ``W x + (alpha / b) * B[:, :b] A[:b] x`` with W: (d_out, d_in), frozen;
    A: (rank, d_in), random; B: (d_out, rank), zero. While training, every layer draws b from
    1 to rank anew in each pass, so that the directions are ordered by what they are worth
    and any number of the first can be kept; in evaluation b = rank.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 8
    alpha: int = 16
    target_modules: str | tuple[str, ...] = ALL_LINEAR

    family: ClassVar[Family] = "reparameterised"
    placement: ClassVar[str] = "linear layers of the blocks"
    paper: ClassVar[str] = "Valipour et al., 2022, arXiv:2210.07558"
    defaults_from: ClassVar[str] = (
        "rank 8 and alpha 16: Valipour et al. on GLUE; the layers of `lora`"
    )
    identity_at_start: ClassVar[bool] = True  # because B is zero
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Valipour et al. on GLUE: 4e-4.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-4}

    def __post_init__(self) -> None:
        check_whole("DyLoRA", "rank", self.rank, "try 4 to 64")
        check_whole("DyLoRA", "alpha", self.alpha, "once or twice the rank is common")
        object.__setattr__(self, "target_modules", targets("DyLoRA", self.target_modules))

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``rank * (d_in + d_out)`` of every target."""
        layers = targeted("DyLoRA", shapes, self.target_modules)
        return sum(self.rank * (layer.d_in + layer.d_out) for layer in layers)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
        from peftbench.methods._native.low_rank import NestedRanks
        from peftbench.methods._native.places import Places

        layers = Places.of(model).linears(self.target_modules)
        return {
            name: NestedRanks(layer, self.rank, self.alpha)
            for name, layer in layers.items()
        }


METHOD = Dylora
