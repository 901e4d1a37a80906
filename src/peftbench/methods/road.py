"""RoAd: pairs of outputs are rotated and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, largest_divisor
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole, one_of

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Road(LinearMethod):
    """Two-dimensional rotations (Liao and Monz, 2024, arXiv:2409.00119).

    Computes ``R (W x + b)`` with W: (d_out, d_in), frozen, and R: (d_out, d_out) made of
    rotations ``alpha [[cos t, -sin t], [sin t, cos t]]`` of pairs of outputs; t starts at zero,
    alpha at one. Variant 1 has one t and alpha per pair, variant 2 one per row, variant 4 one
    per entry.
    Trains ``variant * d_out`` parameters per layer. Pairs lie in groups of group_size outputs,
    or the next smaller size that divides all outputs.
    """

    variant: Literal[1, 2, 4] = 1
    group_size: int = 64

    title: ClassVar[str] = "RoAd"
    tuner: ClassVar[str] = "RoadConfig"
    family: ClassVar[Family] = "adapter"
    paper: ClassVar[str] = "Liao and Monz, 2024, arXiv:2409.00119"
    defaults_from: ClassVar[str] = "peft: variant 1, groups of 64"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, road on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.title, "variant", self.variant, (1, 2, 4))
        check_whole(self.title, "group_size", self.group_size, "try 32 or 64")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.variant * layer.d_out

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        size = largest_divisor(
            [layer.d_out for layer in self.layers(shapes)], self.group_size
        )
        return {"variant": f"road_{self.variant}", "group_size": size}


METHOD = Road
