"""C3A: the update is a block matrix of circular convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, largest_divisor
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class C3a(LinearMethod):
    """Circular convolution adapters (Chen et al., 2024, arXiv:2407.19342).

    Computes ``W x + C x`` with W: (d_out, d_in), frozen, and C: (d_out, d_in) made of
    ``d_out / b * d_in / b`` circulant blocks, each given by one vector of b = block_size
    numbers and applied by fast Fourier transforms; the vectors start at random (Xavier).
    Trains ``d_out * d_in / block_size`` parameters per layer. Where block_size does not divide
    all widths, the next smaller size that does.
    """

    block_size: int = 256

    title: ClassVar[str] = "C3A"
    tuner: ClassVar[str] = "C3AConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Chen et al., 2024, arXiv:2407.19342"
    defaults_from: ClassVar[str] = "peft: blocks of 256, Xavier initialisation"
    identity_at_start: ClassVar[bool] = False  # the vectors start at random
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "block_size"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: Chen et al., Llama; 0.3 in huggingface/peft, method_comparison/MetaMathQA.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 0.1}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(
            self.title, "block_size", self.block_size, "try a divisor of the model's widths"
        )

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        return layer.d_out * layer.d_in // self.fitting_size(shapes)

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {"block_size": self.fitting_size(shapes)}

    def fitting_size(self, shapes: Shapes) -> int:
        """The block size that divides all widths."""
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        return largest_divisor(widths, self.block_size)


METHOD = C3a
